"""``audit``: for auditors, by certificate on a running node, on the node's files, and offline on a folder."""

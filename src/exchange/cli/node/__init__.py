"""Commands on the node's files: they work on the machine of the node, with the rights of its user."""

"""Where an audit reads a node's logs and registers: a database, or a folder that was exported."""

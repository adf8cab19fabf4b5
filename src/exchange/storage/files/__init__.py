"""Files beside the database: private keys, TLS leaves, spool folders."""

"""X.509: certificates, paths, requests, revocation lists, and small authorities."""

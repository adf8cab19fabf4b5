"""What tests stand on: a real PostgreSQL, a faulty link, real processes. Nothing of the gateway is imitated here."""

"""The agency port: everything over real mTLS on loopback."""

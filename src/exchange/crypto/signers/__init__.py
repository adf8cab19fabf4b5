"""What signs and verifies envelopes: key files (P-256, SM2), behind ``dsse.Signer`` and ``dsse.Verifier``."""

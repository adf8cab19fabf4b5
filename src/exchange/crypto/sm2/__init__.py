"""SM2 with SM3 (GB/T 32918, GB/T 32905), computed by the system's libcrypto: no Python library signs with it."""

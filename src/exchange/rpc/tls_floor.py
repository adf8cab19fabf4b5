"""TLS 1.3 and nothing below, for a library that has no switch for it.

gRPC reads its list of TLS 1.2 cipher suites from the environment, once, when it first makes a secure channel or
server. Here the list names suites that need an RSA certificate, and every server of ours has an EC leaf key (the
node refuses to start with another one): so TLS 1.2 has no suite in common and only TLS 1.3, whose suites the list
does not touch, can be agreed on. Roots, clients and intermediates may be RSA: only the server's leaf key counts.

Imported first wherever ``grpc`` is, so that the order of other imports does not matter.
"""

from __future__ import annotations

import os
from typing import Final

CIPHER_SUITES_VARIABLE: Final = "GRPC_SSL_CIPHER_SUITES"

RSA_ONLY_SUITES: Final = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
"""Suites of TLS 1.2 that an EC leaf key can not serve."""

os.environ[CIPHER_SUITES_VARIABLE] = RSA_ONLY_SUITES

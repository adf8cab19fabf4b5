"""gRPC in and out: servicers, the peer client, the command line's client, identity, errors ⇄ status."""

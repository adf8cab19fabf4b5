"""Commands with a certificate: they call the node as anybody else would, also on the node's own machine."""

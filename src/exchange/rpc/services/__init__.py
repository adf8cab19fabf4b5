"""One servicer for each service of the agency port: thin, free of gRPC, called by the door."""

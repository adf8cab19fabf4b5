"""What is decided of one entry: judged as if the sender had checked nothing, ruled by what registers state now."""

"""Tables, the one writer, logs, registers. The only layer that knows SQL."""

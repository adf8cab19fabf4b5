"""The order of effects: from logs to registers, in steps that the journal names."""

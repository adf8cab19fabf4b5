"""Recognition rules: how an edition comes, what it decided, and what another one would decide."""

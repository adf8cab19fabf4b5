"""Walking exported logs again: into an empty node, or beside a node or a register to compare with."""

"""How long records are kept, and that those which are not are gone."""

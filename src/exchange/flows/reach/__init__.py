"""How calls reach a peer that can not be dialled: fetched by it, or carried as files."""

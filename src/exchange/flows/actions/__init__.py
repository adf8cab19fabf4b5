"""What needs two officers: asked for by one, confirmed by one of the other role, then carried out."""

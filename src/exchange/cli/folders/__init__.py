"""A watched folder: what is dropped into it is submitted, answers and arrivals are written into it."""

"""Erasing a record, whatever copies there are of it, and looking whether it is gone."""

"""What makes a record well-formed, one file for each group of fields. Entered through ``exchange.domain.validate``."""

"""One file for each thing that happens. No flow calls a flow: check, then one transaction, then an answer."""

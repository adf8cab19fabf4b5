"""What a node keeps of itself and of who calls it: alarms, lanes, revocation lists, certificates seen."""

"""What the operator sees and does: lanes, quarantine, alarms."""

"""Two real node processes: killed, restored, fed with rubbish, called by a stranger."""

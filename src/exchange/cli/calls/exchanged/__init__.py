"""What was sent and what arrived: submissions, records, watched folders."""

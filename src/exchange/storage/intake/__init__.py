"""What agencies handed in: submissions, native documents, their quarantined rows, attachments."""

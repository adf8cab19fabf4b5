"""What an agency hands in: records and native documents, to entries on disk."""

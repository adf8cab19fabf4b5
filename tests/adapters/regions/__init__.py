"""The two sides, and the forms that they share."""

"""What was decided before: taken as recorded, decided again for a cause, walked again by a replay."""

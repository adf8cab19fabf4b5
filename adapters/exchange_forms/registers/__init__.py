"""Credit results, and penalties of 双公示: kinds whose rows need code of their own from end to end."""

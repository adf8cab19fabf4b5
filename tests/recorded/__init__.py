"""A history that nodes made once, as it was then: what apply makes of it must stay the same."""

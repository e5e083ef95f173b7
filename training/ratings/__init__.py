"""Human ratings: tasks made from a run, ratings read back, agreement, and tables 3 and 4 of the paper."""

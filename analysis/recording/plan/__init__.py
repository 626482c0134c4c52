"""Plans: what one batch showed beside its values, so that at the next ones these are all that is looked at."""

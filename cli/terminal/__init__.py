"""The terminal: progress, what is printed where, signals."""

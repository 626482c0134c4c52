"""Accounting: from the integers of a profile to MACs, ACs and joules. Pure functions."""

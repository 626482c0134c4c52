"""Profiles from firing rates that somebody else measured."""

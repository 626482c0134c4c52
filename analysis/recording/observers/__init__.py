"""Observers: each sees every operator before and after it runs, and has one concern."""

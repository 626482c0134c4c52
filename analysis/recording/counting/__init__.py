"""Exact counts and measures of what tensors hold."""

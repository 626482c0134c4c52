"""Accounts as tables, figures and files."""

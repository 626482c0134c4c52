"""Figures, one file per figure; style and saving are shared."""

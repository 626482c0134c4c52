"""What a command answers, before a format is chosen: blocks, numbers as text, formulas."""

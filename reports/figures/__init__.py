"""Figures of several networks, of sweeps, and of what one image does inside a network."""

"""Convolutional networks, one file per family, and the settings and parts that several of them share."""

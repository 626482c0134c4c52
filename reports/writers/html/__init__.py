"""HTML that needs no network."""

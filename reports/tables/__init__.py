"""Tables, one file per table."""

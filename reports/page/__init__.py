"""What `saformer report` says."""

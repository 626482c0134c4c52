"""`saformer train`: a placeholder until the loop lands."""


def train() -> None:
    """Train."""

"""Intervals of shares, such as an accuracy."""

_Z = 1.959964


def wilson(share: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of so many images (JASA 22, 1927): all right, or none, is no certainty."""
    spread = _Z**2 / images
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * (share * (1 - share) / images + spread / (4 * images)) ** 0.5 / (1 + spread)
    # The share lies inside, whatever rounding does where all were right, or none.
    return max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)

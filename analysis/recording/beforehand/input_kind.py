"""Whether an input is a static image, repeated T times (Eq. 19), or event frames (Eq. 20): read from its values."""

import torch
from torch import Tensor

_VIDEO = 200  # whole numbers of three channels that reach so far are pixels
_SPARSE = 0.5  # share of zeros from which frames of real values are taken for events that were normalised


def doubt_of_events(x: Tensor) -> str | None:
    """What is to be said of an input that was declared to be events, and holds real values, most of them not zero."""
    if not x.is_floating_point() or not x.numel() or bool((x == x.round()).all()):
        return None
    zeros = float((x == 0).to(torch.float32).mean())
    if zeros >= _SPARSE:
        return None
    return (
        f"the input was said to be events, and holds real values, {zeros:.0%} of them zero: its first layer is charged "
        "an AC for each all the same; --kind static charges MACs"
    )


def input_kind(x: Tensor) -> tuple[str, str | None]:
    """ "static" or "events", and a note where this is no more than likely.

    Whole numbers with a time axis are events, and so are frames of one or two channels that mostly hold zeros, and
    trains B x T x F of zeros and ones. Without a time axis, with pixels of a video or real values, it is an image.

    Args:
        x: B x C x H x W, B x T x C x H x W, B x T x F, ...
    """
    if x.ndim == 3 and not x.is_complex() and x.numel():
        binary = bool(((x == 0) | (x == 1)).all()) and bool(x.any())
        return ("events", None) if binary and x.shape[1] > 1 else ("static", None)
    if x.ndim != 5 or not x.numel():
        return "static", None
    whole = not x.is_floating_point() or bool((x == x.round()).all())
    channels = x.shape[2]
    if whole and not (channels == 3 and float(x.max()) >= _VIDEO):
        return "events", None
    zeros = float((x == 0).to(torch.float32).mean())
    if not whole and channels <= 2 and zeros >= _SPARSE:
        return "events", (
            f"the frames hold real values, {zeros:.0%} of them zero, in {channels} "
            f"channel{'s' if channels > 1 else ''}: taken for events (ACs in the first layer); --kind static takes "
            "them for images"
        )
    return "static", None

"""The profile of several processes: each profiles its share of the images, the first adds them up."""

import json
from hashlib import sha256
from typing import TYPE_CHECKING

from saformer.analysis.profiles import Profile
from saformer.distributed import is_main, world_size
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def gather(profile: Profile) -> Profile | None:
    """The sum of the profiles of all processes of `saformer.distributed.process_group`, integer by integer.

    All processes must call it. They send plain integers, as a saved profile holds them.

    Returns:
        The sum on process 0 (in the order of the processes), None on the others; with one process, its own profile.

    Raises:
        InputError: the profiles do not belong together.
    """
    if world_size() == 1:
        return profile
    import torch.distributed as dist

    parts: list[str] | None = [""] * world_size() if is_main() else None
    dist.gather_object(json.dumps(profile.to_json()), parts)
    if parts is None:
        return None
    total, *others = [Profile.from_json(json.loads(part)) for part in parts]
    for part in others:
        total = total + part
    return total


def check_same_model(model: "nn.Module") -> None:
    """Raise InputError unless the model has the same weights in every process: sums would mean nothing."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    digest = sha256()
    for name, value in model.state_dict().items():
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    found = [""] * world_size()
    dist.all_gather_object(found, digest.hexdigest())
    if len(set(found)) > 1:
        raise InputError(
            "the processes hold models with different weights, perhaps drawn at random: save one, and give it as --ckpt"
        )

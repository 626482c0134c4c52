"""Seeds of the parts of a run, each drawn from the seed of the whole: no part depends on how many came before it."""

import hashlib


def derived_seed(*parts: int | str) -> int:
    """A seed for what `parts` name, such as (recipe seed, "order", epoch): the same on every machine, 0 to 2^63 - 1."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1

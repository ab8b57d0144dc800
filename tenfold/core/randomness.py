"""Random numbers that depend only on what they are for, never on what was drawn before."""

import hashlib


def seed_for(*purpose: "int | str") -> int:
    """A seed (63 bits) that is a stable hash of `purpose`, for instance `seed_for(seed, "order", epoch)`.

    The same on every machine, in every process and in every version of Python; different purposes give
    unrelated seeds.
    """
    digest = hashlib.blake2b("/".join(str(part) for part in purpose).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

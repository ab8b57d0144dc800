"""Exported extractors, kept in the cache as ONNX: an export takes seconds of CPU time, reading it back a moment.

`TENFOLD_CACHE/graphs/KEY.onnx` is a checksum and the model behind it; KEY names all that decides the model.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tenfold import __version__
from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic, cache_folder
from tenfold.inference.onnx_model import onnx_model, trace

VERSION = 1
# How many are kept, those that were used last: each holds its backbone's weights, 13 MiB and more.
KEPT = 12
_CHECKSUM = 16


def weights_hash(module: nn.Module) -> str:
    """A hash of all parameters and averages, by name: the same for the same weights, wherever they came from."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


class Graph:
    """`module` as an ONNX model for float images of `shape`; `about` is what decides it, weights and shape apart."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...], about: dict[str, Any]) -> None:
        self.module, self.shape = module, shape
        decisive = [VERSION, __version__, torch.__version__, about, shape, weights_hash(module)]
        key = hashlib.blake2b(json.dumps(decisive, sort_keys=True).encode(), digest_size=16).hexdigest()
        self.path = cache_folder() / "graphs" / f"{key}.onnx"

    def kept(self) -> bytes | None:
        """The model as it was kept; None where there is none, or where it is damaged."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        model = data[_CHECKSUM:]
        if _checksum(model) != data[:_CHECKSUM]:
            return None
        with contextlib.suppress(OSError):  # a cache that may only be read
            os.utime(self.path)
        return model

    def export(self) -> bytes:
        """The model exported anew, and kept. Raises TenfoldError where the module cannot be exported."""
        model = onnx_model(trace(self.module, torch.zeros(self.shape))).SerializeToString()
        # Without room or permission for it, the next run exports again: no reason to fail.
        with contextlib.suppress(TenfoldError, OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(self.path) as temporary:
                temporary.write_bytes(_checksum(model) + model)
            for old in _by_use()[KEPT:]:
                old.unlink(missing_ok=True)
        return model


def cached_graphs() -> list[tuple[str, int]]:
    """(name, bytes) of every model that is kept, the last used first."""
    return [(path.name, path.stat().st_size) for path in _by_use()]


def remove_cached_graphs() -> int:
    """Remove all of them; give how many bytes that freed."""
    freed = sum(size for _, size in cached_graphs())
    for path in _by_use():
        path.unlink(missing_ok=True)
    return freed


def _by_use() -> list[Path]:
    return sorted(
        (cache_folder() / "graphs").glob("*.onnx"), key=lambda path: path.stat().st_mtime, reverse=True
    )


def _checksum(model: bytes) -> bytes:
    return hashlib.blake2b(model, digest_size=_CHECKSUM).digest()

"""Files of tensors with a header: safetensors, which can hold no code, with everything else as JSON in its metadata.

A hash of the tensors stands in the header, so that a changed byte is found before the tensors are used. What is wrong
with a file is a ValueError that ends a sentence ("is cut short"); whoever knows what the file is for names it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.files import atomic

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
WITHIN = 2  # a checkpoint from within an epoch


def write_tensors(
    path: Path, tensors: "Mapping[str, Tensor]", header: Mapping[str, Any], version: int = VERSION
) -> None:
    """Write tensors and a header of JSON values to `path` atomically. Raises TenfoldError where the disk is full."""
    from safetensors.torch import save

    # A tensor's memory format is not data: it is stored contiguous, and loading copies it into the model's own.
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"version": version, "blake2b": _hash(stored), **header}
    content = save(stored, {"tenfold": json.dumps(about)})
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def read_header(path: Path) -> dict[str, Any]:
    """Only the header, without PyTorch. Raises ValueError where the file is damaged or of another version."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get("tenfold")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"is damaged ({error})") from None
    if text is None:
        raise ValueError("was not written by tenfold: it has no header of tenfold's")
    try:
        header = json.loads(text)
        found = header["version"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise ValueError(f"has a damaged header ({error})") from None
    if found not in (VERSION, WITHIN):
        newer = "; install a newer tenfold" if isinstance(found, int) and found > WITHIN else ""
        raise ValueError(
            f"was written in format {found}, this tenfold reads formats {VERSION} to {WITHIN}{newer}"
        )
    return header


def read_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """(tensors, header). Raises ValueError where the file is damaged, of another version, or not what was written."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header = read_header(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"is damaged ({error})") from None
    if header.get("blake2b", expected := _hash(tensors)) != expected:  # Version 0.1 wrote no hash.
        raise ValueError("is damaged: its tensors have changed since they were written")
    return tensors, header


def _hash(tensors: "Mapping[str, Tensor]") -> str:
    """A hash of names, shapes and values."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

"""What a report says of the data, the model and the machine."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.data.duplicates import exact_duplicates
from tenfold.findings import Evidence

if TYPE_CHECKING:
    from tenfold.data import Splits
    from tenfold.runs.folder import Run

# Beyond this many bytes of pixels, looking for copies would take longer than the report; `tenfold inspect` does.
SEARCHED_BYTES = 2_000_000_000


def about_data(run: "Run", splits: "Splits | None") -> dict[str, Any]:
    """Source, size and shape of the images, files that were left out, and what `tenfold inspect` would warn of."""
    data = run.data
    height, width, channels = data["image_shape"]
    return {
        "source": source_of(run),
        "images": f"{sum(entry['images'] for entry in data['splits'].values()):,}",
        "shape": f"{width} × {height} pixels ({'grayscale' if channels == 1 else 'colour'})",
        "bad_files": data.get("bad_files", []),
        "warnings": leaks(splits) if splits is not None else [],
    }


def source_of(run: "Run") -> str:
    """The source as it was given: a path or name, or the folders of the splits."""
    source = run.data["source"]
    folders = [folder for split in ("train", "validation", "test") for folder in source.get(split) or ()]
    return source.get("data") or ", ".join(folders)


def leaks(splits: "Splits") -> list[str]:
    """A sentence for every two splits that share images of equal pixels; none where that would take too long."""
    order = (splits.test, splits.validation, splits.train)
    rows = np.concatenate([split.rows for split in order])
    pixels = splits.train.pixels
    if len(rows) * int(np.prod(pixels.shape[1:])) > SEARCHED_BYTES:
        return []
    split_of = np.repeat(np.arange(len(order)), [len(split) for split in order])
    counts = np.zeros((len(order), len(order)), int)
    for group in exact_duplicates(pixels, rows):
        members = split_of[group]
        for one in np.unique(members):
            counts[one, np.unique(members[members != one])] += int((members == one).sum())
    return [
        f"{counts[a, b]:,} of {len(order[a]):,} {order[a].name} images are also in the {order[b].name} split: "
        "scores on them flatter the model. `tenfold inspect` lists them."
        for a, b in ((0, 2), (0, 1), (1, 2))
        if counts[a, b]
    ]


def about_model(run: "Run", evidence: Evidence) -> dict[str, Any]:
    """The model's summary, and its layers where `tenfold.findings.explain` saved them."""
    saved = json.loads((run.path / "model.json").read_text(encoding="utf-8"))
    architecture = dict(saved["architecture"])
    training = evidence.training
    model = {
        "architecture": architecture.pop("name"),
        **{key: str(value) for key, value in architecture.items()},
        "input": " × ".join(map(str, saved["image_shape"])),
        "parameters": f"{training['parameters_total']:,} ({training['parameters_trainable']:,} trained)",
    }
    layers = run.path / "layers.json"
    return {
        "model": model,
        "layers": json.loads(layers.read_text(encoding="utf-8")) if layers.is_file() else [],
    }


def flat(values: dict[str, Any]) -> dict[str, str]:
    """Nested tables as one list of keys, for reading."""
    flattened: dict[str, str] = {}
    for key, value in values.items():
        entries = (
            {f"{key} {k}": str(v) for k, v in value.items()} if isinstance(value, dict) else {key: str(value)}
        )
        flattened |= entries
    return flattened

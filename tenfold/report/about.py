"""What a report says of the data, the model and the machine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenfold.findings import Evidence
from tenfold.runs.folder import Run

if TYPE_CHECKING:
    from tenfold.data import Splits


def about_data(run: Run, splits: "Splits | None") -> dict[str, Any]:
    """Source, size and shape of the images, files that were left out, and what `tenfold inspect` would warn of."""
    data = run.data
    channels, height, width = run.image_shape
    return {
        "source": source_of(run),
        "images": f"{_images(data):,}",
        "shape": f"{width} × {height} pixels ({'grayscale' if channels == 1 else 'colour'})",
        "bad_files": data.get("bad_files", []),
        "layout": data.get("layout", ""),
        "left_out": data.get("left_out", []),
        "warnings": data["notices"] if "notices" in data else list(splits.notices) if splits else [],
    }


def _images(data: Mapping[str, Any]) -> int:
    """How many images there are; all of them are tested in a cross-validation."""
    splits = data["splits"]
    if data.get("folds"):
        return splits["test"]["images"]
    return sum(entry["images"] for entry in splits.values())


def source_of(run: Run) -> str:
    """The source as it was given: a path or name, or the folders of the splits."""
    source = run.data["source"]
    folders = [folder for split in ("train", "validation", "test") for folder in source.get(split) or ()]
    return source.get("data") or ", ".join(folders)


def about_model(run: Run, evidence: Evidence) -> dict[str, Any]:
    """The model's summary, and its layers where `tenfold.findings.explain` saved them."""
    saved = run.description
    architecture = dict(saved["architecture"])
    training = evidence.training
    # What a layer without effect is for, only its library knows.
    layers = [layer for layer in run.saved(Run.layers) or [] if layer["kind"] != "Identity"]
    model = {
        "architecture": architecture.pop("name"),
        **{key: str(value) for key, value in architecture.items()},
        "input": " × ".join(map(str, saved["image_shape"])),
        "parameters": f"{training['parameters_total']:,} ({training['parameters_trainable']:,} trained)",
    }
    return {"model": model, "layers": layers}


def flat(values: dict[str, Any]) -> dict[str, str]:
    """Nested tables as one list of keys, for reading."""
    flattened: dict[str, str] = {}
    for key, value in values.items():
        entries = (
            {f"{key} {k}": str(v) for k, v in value.items()} if isinstance(value, dict) else {key: str(value)}
        )
        flattened |= entries
    return flattened

"""What a model said of a split, as it is saved: all that metrics, findings and reports read.

pyarrow is imported where a file is read or written: training, and a sweep's workers, do without its 30 MiB.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from tenfold.core.checksums import hash_of
from tenfold.core.files import atomic

VERSION = 1
_ABOUT = b"tenfold"  # the key in the file's footer
_PROBABILITY = "probability:"
# How far the probabilities of one image, float32 or bfloat16, may be from a sum of 1.
_SUM_TOLERANCE = 0.05


@dataclass(frozen=True)
class Predictions:
    """What a model said of a split: the only thing that metrics and reports read.

    `paths` (N,) names of the images, `labels` (N,) int64, `probabilities` (N, classes) float32; `folds` (N,) of a
    cross-validation: the fold, from 1, whose model said it; `groups` (N,) int64 numbers of the groups that the data
    name, or else of copies of one picture, -1 for none, or empty where there are none.
    """

    paths: Sequence[str]
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    folds: np.ndarray | None = None
    groups: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image (N,) int64."""
        return self.probabilities.argmax(1)

    @property
    def hash(self) -> str:
        """A hash of all that is saved."""
        texts = json.dumps([list(self.paths), list(self.class_names)]).encode()
        labels, probabilities = self.labels.astype("<i8"), self.probabilities.astype("<f4")
        return hash_of(texts + labels.tobytes() + np.ascontiguousarray(probabilities).tobytes(), 16)

    def write(self, path: Path) -> None:
        """Save as Parquet: path, label and predicted (names), maybe group, and `probability:CLASS` for each class."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = pa.array(self.class_names, pa.string())
        columns = {
            "path": pa.array(list(self.paths), pa.string()),
            "label": pa.DictionaryArray.from_arrays(pa.array(self.labels, pa.int32()), names),
            "predicted": pa.DictionaryArray.from_arrays(pa.array(self.predicted, pa.int32()), names),
        }
        if self.folds is not None:
            columns["fold"] = pa.array(self.folds, pa.int32())
        if len(self.groups):
            columns["group"] = pa.array(self.groups, pa.int64())
        for index, name in enumerate(self.class_names):
            columns[_PROBABILITY + name] = pa.array(self.probabilities[:, index], pa.float32())
        about = {"version": VERSION, "blake2b": self.hash}
        with atomic(path) as temporary:
            pq.write_table(pa.table(columns, metadata={_ABOUT: json.dumps(about)}), temporary)


def pooled(parts: Sequence[Predictions], places: Sequence[int] | np.ndarray) -> Predictions:
    """The predictions of several folds as one, each image at its place of `places` (N,), with its fold from 1."""
    order = np.argsort(places)
    paths = [path for part in parts for path in part.paths]
    folds = np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])
    alone = [np.full(len(part), -1, np.int64) for part in parts]
    groups = np.concatenate(
        [part.groups if len(part.groups) else none for part, none in zip(parts, alone, strict=True)]
    )
    return Predictions(
        [paths[position] for position in order.tolist()],
        np.concatenate([part.labels for part in parts])[order],
        np.concatenate([part.probabilities for part in parts])[order],
        parts[0].class_names,
        folds[order],
        groups[order] if np.any(groups >= 0) else groups[:0],
    )


def read_predictions(path: Path) -> Predictions:
    """Read what `Predictions.write` saved. Raises ValueError where the file is not of that form."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        columns = [name for name in table.column_names if name.startswith(_PROBABILITY)]
        class_names = tuple(name.removeprefix(_PROBABILITY) for name in columns)
        index = {name: number for number, name in enumerate(class_names)}
        predictions = Predictions(
            paths=table["path"].to_pylist(),
            labels=np.array([index[name] for name in table["label"].to_pylist()], np.int64),
            probabilities=np.stack([table[name].to_numpy() for name in columns], axis=1),
            class_names=class_names,
            folds=table["fold"].to_numpy().astype(np.int64) if "fold" in table.column_names else None,
            groups=table["group"].to_numpy().astype(np.int64)
            if "group" in table.column_names
            else np.empty(0, np.int64),
        )
    except (pa.ArrowException, KeyError, ValueError, TypeError, OSError) as error:
        raise ValueError(f"is not a file of tenfold's predictions ({error})") from None
    _check(predictions)
    _check_about((table.schema.metadata or {}).get(_ABOUT), predictions)
    return predictions


def _check_about(text: bytes | None, predictions: Predictions) -> None:
    """Raise ValueError where the file is of a newer version, or has changed since it was written."""
    if text is None:  # Version 0.1 wrote none.
        return
    try:
        about = json.loads(text)
        version, written = about["version"], about["blake2b"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("is damaged: what it says of itself cannot be read") from None
    if version != VERSION:
        raise ValueError(
            f"was written in format {version}, this tenfold reads format {VERSION}; install a newer tenfold"
        )
    if written != predictions.hash:
        raise ValueError("is damaged: it has changed since it was written")


def _check(predictions: Predictions) -> None:
    """Raise ValueError where a column holds what no model says of an image."""
    probabilities = predictions.probabilities
    if not all(isinstance(name, str) for name in predictions.paths):
        raise ValueError("is damaged: its paths are not all texts")
    if probabilities.dtype.kind != "f" or not np.isfinite(probabilities).all():
        raise ValueError("is damaged: its probabilities are not all numbers")
    if len(probabilities) and np.abs(probabilities.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise ValueError("is damaged: the probabilities of an image do not sum up to 1")

"""Files as properties of a folder: each one's name, reader and writer, and what helps where it is damaged.

    class Run(Folder):
        metrics = JsonFile("metrics.json", MetricsShape, remedy="`tenfold evaluate {run}` makes it anew.")

    run.metrics              # reads and checks; an InputError names the file, what is wrong, and the remedy
    run.metrics = measured   # writes, atomically
    run.has(Run.metrics), run.saved(Run.metrics), run.path_of(Run.metrics)

Readers raise ValueError with words that go on after the file's name ("is cut short"). Nothing heavy is imported
before a file is read or written: a run is opened in no time.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from tenfold.core.errors import InputError
from tenfold.core.files import explained_write, write_json, write_text

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from tenfold.recipe import Recipe
    from tenfold.runs.predictions import Predictions
    from tenfold.runs.state import State

Value = TypeVar("Value")
# When a file is written: before training, after the first epoch, or when the model is tested.
BEGUN, TRAINED, TESTED = range(3)


class FolderFileError(InputError):
    """A file of a folder is missing or damaged."""


class Folder:
    """A folder whose files are its class' attributes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._kept: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def path_of(self, file: "FolderFile[Any]") -> Path:
        """Where a file of the folder lies, whether it is there or not."""
        return self.path / file.name

    def has(self, file: "FolderFile[Any]") -> bool:
        """Whether a file is there."""
        return self.path_of(file).is_file()

    def saved(self, file: "FolderFile[Value]") -> Value | None:
        """What a file holds; None where it is not there."""
        return file.read(self) if self.has(file) else None

    def advice(self, file: "FolderFile[Any]") -> str:
        """What helps where a file is missing."""
        return file.remedy_in(self)


class Place:
    """A path in a folder that is written as it is needed and not read back."""

    def __init__(self, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, folder: None, owner: type[Folder]) -> Self: ...
    @overload
    def __get__(self, folder: Folder, owner: type[Folder]) -> Path: ...
    def __get__(self, folder: Folder | None, owner: type[Folder]) -> Self | Path:
        return self if folder is None else folder.path / self.name


class FolderFile(ABC, Generic[Value]):
    """A file of a folder. `remedy` helps where it is damaged; {run} in it stands for the folder.

    `stage` says when it is written. What a `constant` file holds is read once.
    """

    constant = False

    def __init__(self, name: str, *, remedy: str, stage: int = TESTED) -> None:
        self.name, self.remedy, self.stage = name, remedy, stage

    @overload
    def __get__(self, folder: None, owner: type[Folder]) -> Self: ...
    @overload
    def __get__(self, folder: Folder, owner: type[Folder]) -> Value: ...
    def __get__(self, folder: Folder | None, owner: type[Folder]) -> "Self | Value":
        return self if folder is None else self.read(folder)

    def __set__(self, folder: Folder, value: Any) -> None:
        self.write(folder, value)

    def read(self, folder: Folder) -> Value:
        """What the file holds. Raises InputError where it is missing or damaged."""
        if self.name in folder._kept:
            return folder._kept[self.name]
        path = self.existing(folder)
        with self.named(folder):
            value = self._read(path)
        if self.constant:
            folder._kept[self.name] = value
        return value

    def write(self, folder: Folder, value: Any) -> None:
        """Write the file atomically. Raises TenfoldError where the disk is full or the folder is not writable."""
        path = folder.path_of(self)
        with explained_write(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._write(path, value)
        folder._kept.pop(self.name, None)

    def existing(self, folder: Folder) -> Path:
        """The file's path. Raises InputError, with what helps, where there is no such file."""
        if not folder.has(self):
            raise FolderFileError(f"{folder.path_of(self)}: there is no such file. {folder.advice(self)}")
        return folder.path_of(self)

    @contextmanager
    def named(self, folder: Folder) -> Iterator[None]:
        """Turn a ValueError about what the file holds into an InputError that names it and the remedy."""
        try:
            yield
        except UnicodeDecodeError as error:
            raise self.damage(folder, f"is damaged: it is not text in UTF-8 ({error.reason})") from None
        except ValueError as error:
            raise self.damage(folder, str(error)) from None
        except OSError as error:
            raise self.damage(folder, f"cannot be read ({error.strerror or error})") from None

    def damage(self, folder: Folder, reason: str) -> FolderFileError:
        """The error that says what is wrong with the file, and what helps."""
        return FolderFileError(f"{folder.path_of(self)}: {reason}. {self.remedy_in(folder)}")

    def remedy_in(self, folder: Folder) -> str:
        """The remedy for a file of that folder."""
        return self.remedy.format(run=quote(str(folder.path)))

    @abstractmethod
    def _read(self, path: Path) -> Value: ...

    @abstractmethod
    def _write(self, path: Path, value: Any) -> None: ...


class JsonFile(FolderFile[Any]):
    """JSON of a given shape (a TypedDict); `check` gives what else is wrong with it, or None."""

    def __init__(
        self,
        name: str,
        shape: Any,
        *,
        remedy: str,
        stage: int = TESTED,
        constant: bool = False,
        check: Callable[[Any], str | None] | None = None,
    ) -> None:
        super().__init__(name, remedy=remedy, stage=stage)
        self.shape, self.check, self.constant = shape, check, constant

    def _read(self, path: Path) -> Any:
        from pydantic import TypeAdapter, ValidationError

        text = path.read_text(encoding="utf-8")
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is damaged: it is not valid JSON ({error})") from None
        # Bytes of a source's name that are no UTF-8 are lone surrogates, which pydantic's parser refuses.
        parsed = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        try:
            TypeAdapter(self.shape).validate_json(parsed, strict=True)
        except ValidationError as error:
            raise ValueError(f"is damaged: {first_fault(error)}") from None
        if isinstance(value, dict):
            from tenfold.core.checksums import unsealed

            value = unsealed(value)
        fault = self.check(value) if self.check else None
        if fault:
            raise ValueError(f"is damaged: {fault}")
        return value

    def _write(self, path: Path, value: Any) -> None:
        from tenfold.core.checksums import sealed

        write_json(path, sealed(value) if isinstance(value, dict) else value)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def first_fault(error: Any) -> str:
    """The first of pydantic's faults, as the end of a sentence."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, fault["loc"]))
    return f"{where or 'all of it'}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


class TextFile(FolderFile[str]):
    """A text in UTF-8."""

    def _read(self, path: Path) -> str:
        return path.read_text(encoding="utf-8")

    def _write(self, path: Path, value: str) -> None:
        write_text(path, value)


class RecipeFile(FolderFile["Recipe"]):
    """A resolved recipe, with a hash of the rest in its first line, a comment, as JSON files have one of their own.

    One without that line, of version 0.1 or edited by hand, is taken as it is.
    """

    constant = True
    SEAL = "# blake2b "

    def outline(self, folder: Folder) -> "Recipe":
        """The recipe with the options of its components as they stand there: checking them takes PyTorch.

        Raises InputError where it is missing or damaged.
        """
        if self.name in folder._kept:
            return folder._kept[self.name]
        path = self.existing(folder)
        with self.named(folder):
            return self._parsed(path, options=False)

    def _read(self, path: Path) -> "Recipe":
        return self._parsed(path, options=True)

    def _parsed(self, path: Path, options: bool) -> "Recipe":
        from tenfold.recipe import parse_recipe

        try:
            return parse_recipe(self._unsealed(path.read_text(encoding="utf-8")), options)
        except InputError as error:
            raise ValueError(f"holds no recipe of this tenfold; {error}") from None
        except RecursionError:
            raise ValueError("is damaged: it is nested too deeply") from None

    def _unsealed(self, text: str) -> str:
        """The text below its seal. Raises ValueError where that is of another one."""
        from tenfold.core.checksums import hash_of

        first, _, rest = text.partition("\n")
        if first.startswith(self.SEAL) and first != self.SEAL + hash_of(rest.encode()):
            raise ValueError(
                "has changed since the run began, so what was trained is not what it says. Undo the change; with it, "
                "`tenfold train` on this file trains a new run (remove the first line to go on with this one)"
            )
        return rest if first.startswith(self.SEAL) else text

    def _write(self, path: Path, value: "Recipe") -> None:
        from tenfold.core.checksums import hash_of

        text = value.to_toml()
        write_text(path, f"{self.SEAL}{hash_of(text.encode())}\n{text}")


class PredictionsFile(FolderFile["Predictions"]):
    """What a model said of a split, as Parquet."""

    def _read(self, path: Path) -> "Predictions":
        from tenfold.runs.predictions import read_predictions

        return read_predictions(path)

    def _write(self, path: Path, value: "Predictions") -> None:
        value.write(path)


class TensorsFile(FolderFile["dict[str, Tensor]"]):
    """Tensors by name."""

    def _read(self, path: Path) -> "dict[str, Tensor]":
        from tenfold.core.tensors import read_tensors

        return read_tensors(path)[0]

    def _write(self, path: Path, value: "dict[str, Tensor]") -> None:
        from tenfold.core.tensors import write_tensors

        write_tensors(path, value, {})


class StateFile(FolderFile["State"]):
    """A checkpoint: read as where training stands, without its tensors, which `tenfold.runs.checkpoint` loads."""

    def _read(self, path: Path) -> "State":
        from tenfold.core.tensors import read_header
        from tenfold.runs.state import state_of

        return state_of(read_header(path))

    def _write(self, path: Path, value: Any) -> None:
        raise TypeError("a checkpoint is written by tenfold.runs.checkpoint.save_checkpoint")


class PicturesFile(FolderFile["tuple[np.ndarray, np.ndarray]"]):
    """Positions in a split (n,) int64 and a picture for each (n, H, W, 3) uint8."""

    def _read(self, path: Path) -> "tuple[np.ndarray, np.ndarray]":
        import numpy as np

        from tenfold.core.arrays import NO_ARRAYS

        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                positions, pictures = saved["positions"], saved["pictures"]
        except NO_ARRAYS as error:
            raise ValueError(f"is damaged ({error})") from None
        wanted = positions.ndim == 1 and pictures.ndim == 4 and pictures.shape[3] == 3
        if not wanted or len(positions) != len(pictures) or pictures.dtype != np.uint8:
            raise ValueError(f"is damaged: it holds {pictures.dtype} of {pictures.shape} for pictures")
        if positions.dtype.kind != "i":
            raise ValueError(f"is damaged: it holds {positions.dtype} for positions")
        return positions, pictures

    def _write(self, path: Path, value: "tuple[np.ndarray, np.ndarray]") -> None:
        import numpy as np

        from tenfold.core.files import atomic

        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, positions=value[0], pictures=value[1])

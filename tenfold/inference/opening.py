"""From the name of a run or of an exported folder to its contract and to what answers."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.hub import is_hub_name
from tenfold.inference.contract import Contract, read_contract, reading_of
from tenfold.inference.hub import fetch_folder
from tenfold.inference.predictor import BATCH, MODEL, OnnxPredictor, Predictor
from tenfold.runs.folder import Run

if TYPE_CHECKING:
    from tenfold.models import Classifier, OwnModel

# So many pictures ONNX Runtime answers before PyTorch would be imported.
FEW = BATCH


@dataclass(frozen=True)
class Model:
    """A run or an exported folder, ready to be asked; `notes` say what its contract lacks, and what helps.

    `own` is the module of the user's own, where the run's model is one.
    """

    folder: Path
    contract: Contract
    notes: tuple[str, ...] = ()
    own: "OwnModel | None" = None

    @property
    def exported(self) -> bool:
        """Whether the folder was exported, and so has no PyTorch model that could answer."""
        return not self.run.has(Run.weights)

    @property
    def run(self) -> Run:
        """The folder as a run, of which an exported one has a few files."""
        return Run(self.folder)

    @property
    def onnx(self) -> Path:
        """The folder of the ONNX model, which in a run may not be there yet."""
        return self.folder if self.exported else self.run.onnx

    def predictor(self, few: bool, device: str = "auto", *, exactly: bool = False) -> Predictor:
        """Who answers: ONNX Runtime for few pictures and exported folders, else PyTorch.

        `exactly`: in the very calls by which the run was evaluated, and so with its bits; otherwise as is fastest.
        """
        if self.exported and device not in {"auto", "cpu"}:
            raise InputError(f"--device {device}: an exported folder is run on the CPU. Give the run itself.")
        if self.exported or (few and device in {"auto", "cpu"} and self.has_onnx()):
            return OnnxPredictor(self.onnx, many=not few)
        from tenfold.core.devices import choose_device
        from tenfold.inference.torch_predictor import TorchPredictor

        return TorchPredictor(self.classifier(), choose_device(device), exactly)

    def classifier(self) -> "Classifier":
        """The run's PyTorch model. Raises InputError where it is a module of the user's own that was not given."""
        from tenfold.runs.folder import load_run

        return load_run(self.folder, self.own).model()

    def has_onnx(self) -> bool:
        """Whether there is an ONNX model of these weights."""
        try:
            return (self.onnx / MODEL).is_file() and self.run.saved(Run.onnx_weights) == self.contract.weights
        except InputError:  # Damaged: it is made again.
            return False

    def make_onnx(self) -> None:
        """Write the run's ONNX model, so that the next picture is answered sooner.

        A network that cannot be exported, and a folder that cannot be written, are left as they are: PyTorch answers.
        Raises InputError where the model cannot be opened.
        """
        from tenfold.inference.onnx_model import write_onnx

        classifier = self.classifier()
        try:
            self.onnx.mkdir(exist_ok=True)
            self.run.path_of(Run.onnx_weights).unlink(missing_ok=True)
            write_onnx(classifier, self.onnx / MODEL, self.contract.class_names)
            self.run.onnx_weights = self.contract.weights
        except (TenfoldError, OSError) as error:
            print(f"tenfold: {self.onnx / MODEL} was not made, so PyTorch answers: {error}", file=sys.stderr)

    def owns(self, words: Sequence[str]) -> bool:
        """Whether one of `words` is a folder or source of the run's data, whose predictions are repeated exactly."""
        try:
            facts = self.run.saved(Run.data)
        except InputError:
            facts = None
        if facts is None:
            return False
        source = facts["source"]
        listed = [path for split in ("train", "validation", "test") for path in source.get(split) or ()]
        named = {source.get("data"), *listed} - {None}
        base = Path(source.get("base") or "")
        places = {place.resolve() for name in named for place in (Path(name), base / name)}
        return any(word in named or _lies_in(Path(word), places) for word in words)


def open_model(name: str | Path, own: "OwnModel | None" = None) -> Model:
    """The model of a run folder, of a run's name below `runs/`, of an exported folder, or of `hf:OWNER/NAME`.

    `own` is needed where a run's model is a module of the user's own and no ONNX model was made of it yet; one that
    is given must be the one that was trained. A run without a contract (one of an earlier tenfold, or whose weights
    have changed since) gets as much of one as its saved predictions allow. Raises InputError where `name` is neither.
    """
    folder = _find(name)
    if own is None:
        return _opened(folder)
    if not Run(folder).has(Run.weights):
        raise InputError(
            f"{folder}: is an exported folder, whose model is in it. Leave --model (model=...) out."
        )
    model = replace(_opened(folder), own=own)
    model.classifier()  # checks `own`, also where ONNX Runtime answers
    return model


def _opened(folder: Path) -> Model:
    run = Run(folder)
    if not run.has(Run.weights):
        return Model(folder, read_contract(folder))
    weights = weights_hash(folder)
    if run.has(Run.contract):
        contract = read_contract(folder)
        if contract.weights == weights:
            return Model(folder, contract)
        return _without_contract(run, weights, False, "its weights have changed since it was evaluated")
    return _without_contract(run, weights, True, "it has no inference.json")


def weights_hash(folder: Path) -> str:
    """A hash of a run's weights file: what was measured with others is not to be trusted."""
    with Run(folder).path_of(Run.weights).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _find(name: str | Path) -> Path:
    if is_hub_name(name):
        return fetch_folder(str(name))
    for folder in (Path(name), Path("runs") / name):
        run = Run(folder)
        if run.has(Run.recipe):
            Run.weights.existing(run)
        if run.has(Run.weights) or (folder / MODEL).is_file():
            return folder
    raise InputError(
        f"{name}: is neither a run folder nor an exported one. `tenfold train` makes a run below runs/, and "
        "`tenfold runs` lists them."
    )


def _without_contract(run: Run, weights: str, trusted: bool, why: str) -> Model:
    """`trusted`: whether the saved predictions are of these weights."""
    described, calibration = run.description, None
    lacking = "probabilities are raw, nothing is called unsure or unlike the training images"
    saved = run.saved(Run.validation_predictions) if trusted else None
    if saved is not None:
        from tenfold.inference.calibrate import calibrate

        calibration = calibrate(saved.labels, saved.probabilities, run.emphasis)
        lacking = "nothing is called unlike the training images"
    contract = Contract(
        tuple(described["class_names"]),
        tuple(described["image_shape"]),
        weights,
        reading_of(run.path),
        calibration,
    )
    note = f"{run.path}: {why}: {lacking}. `tenfold evaluate {run.path}` makes it whole."
    return Model(run.path, contract, (note,))


def _lies_in(path: Path, places: set[Path]) -> bool:
    """Whether a folder, or what is itself one of `places`, lies in one of them; single pictures do not count."""
    there = path.resolve()
    return there in places or (path.is_dir() and not places.isdisjoint(there.parents))

"""What is served: a run or an exported folder, opened, and what its page says of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.errors import InputError
from tenfold.inference.contract import Contract
from tenfold.inference.opening import Model, open_model
from tenfold.inference.predictor import Predictor
from tenfold.runs.folder import Run

if TYPE_CHECKING:
    from tenfold.models import OwnModel


@dataclass(frozen=True)
class Served:
    """A model to serve: the name of its run, what it promises, who answers, and facts for its page."""

    name: str
    contract: Contract
    predictor: Predictor
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()


def open_served(run: str | Path, own: "OwnModel | None" = None) -> Served:
    """The model of a run (a folder, or its name below runs/) or of an exported folder; `own` as in `open_model`.

    A run's ONNX model is made where it is missing; a network that has none is answered by PyTorch. Raises InputError.
    """
    model = open_model(run, own)
    if not model.exported and not model.has_onnx():
        model.make_onnx()
    folder = model.folder.resolve()
    return Served(folder.name, model.contract, model.predictor(few=True), _tested(model), model.notes)


def _tested(model: Model) -> dict[str, Any]:
    """The accuracy on the run's test images, where the folder says it."""
    try:
        metrics = model.run.saved(Run.metrics)
    except InputError:
        return {}
    return (
        {}
        if metrics is None
        else {"accuracy": metrics["test"]["accuracy"], "test_images": metrics["test"]["n"]}
    )

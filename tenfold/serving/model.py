"""What is served: a run or an exported folder, opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.inference.contract import Contract, read_contract
from tenfold.inference.predictor import OnnxPredictor, Predictor


@dataclass(frozen=True)
class Model:
    """A model to serve: the name of its run, what it promises, who answers, and facts for its page."""

    name: str
    contract: Contract
    predictor: Predictor
    facts: dict[str, Any]


def open_model(run: str | Path) -> Model:
    """The model of a run (a folder, or its name below runs/) or of an exported folder. Raises InputError."""
    folder = Path(run)
    return Model(folder.resolve().name, read_contract(folder), OnnxPredictor(folder), {})

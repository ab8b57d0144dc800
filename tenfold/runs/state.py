"""Where a run's training stands: what a checkpoint holds beside its tensors."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Within:
    """An epoch that has begun: its steps so far, their images and sums over these, and the seconds that all took."""

    steps: int = 0
    images: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0


@dataclass
class State:
    """Where training stands, tensors apart.

    `epoch` counts those that are finished, `step` their steps; `within` is the epoch that has begun.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    wait: int = 0
    stop_reason: str | None = None
    failed: bool = False
    schedule: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    within: Within | None = None

    @property
    def came_to_nothing(self) -> bool:
        """Whether training failed before any epoch gave a usable model."""
        return self.failed and not self.best_epoch


def state_of(header: dict[str, Any]) -> State:
    """The state in the header of a checkpoint. Raises ValueError where it is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(State).validate_json(json.dumps(header["state"]), strict=True)
    except KeyError:
        raise ValueError("is no checkpoint: its header has no state") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise ValueError(f"has a damaged header: {where}: {fault['msg']}") from None

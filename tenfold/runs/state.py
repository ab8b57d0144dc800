"""Where a run's training stands: what a checkpoint holds beside its tensors."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class State:
    """Where training stands, tensors apart. `epoch` and `step` count what is finished."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    wait: int = 0
    stop_reason: str | None = None
    failed: bool = False
    schedule: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

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

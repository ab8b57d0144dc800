"""A moving average of a model's weights, which is what is judged and kept in the place of the last step's."""

import copy

import torch
from torch import Tensor

from tenfold.core.world import World
from tenfold.models import Classifier
from tenfold.runs.checkpoint import Tensors

PREFIX, STEPS = "average.", "average steps"


class Averages:
    """An exponential moving average of all that is saved of `model`, batch norm's own averages included.

    After each step it keeps `decay` of what it was; in the first steps less, (1 + step) / (10 + step), so that the
    weights with which training began are soon forgotten. An average over the last steps is closer to the minimum than
    each of them (Polyak and Juditsky, SIAM J. Control and Optimization 30, 1992); the decay is that of TensorFlow's
    `ExponentialMovingAverage`.
    """

    def __init__(self, model: Classifier, decay: float) -> None:
        self.source, self.decay, self.steps = model, decay, 0
        self.model = copy.deepcopy(model).requires_grad_(False)

    def restart(self) -> None:
        """Begin anew from the model as it is now."""
        self.steps = 0
        for mine, theirs in self._pairs():
            mine.copy_(theirs)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mine, theirs in self._pairs():
            if mine.is_floating_point():
                mine.lerp_(theirs, share)
            else:
                mine.copy_(theirs)

    def agree(self, world: World) -> None:
        """Make those of all processes of a world the first one's: their norms may have seen parts of the batches."""
        world.follow_first(self.model.state_dict().values())

    def memory(self) -> Tensors:
        """What a checkpoint keeps of it."""
        saved = {f"{PREFIX}{name}": tensor for name, tensor in self.model.state_dict().items()}
        return {**saved, STEPS: torch.tensor(self.steps)}

    def restore(self, memory: Tensors) -> None:
        """Go on from what `memory` gave."""
        names = self.model.state_dict()
        self.model.load_state_dict({name: memory[f"{PREFIX}{name}"] for name in names})
        self.steps = int(memory[STEPS])

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.model.state_dict().values(), self.source.state_dict().values(), strict=True))

"""Optimizers with Keras' arithmetic, and Muon.

An optimizer is a function (parameters, *, options) -> torch.optim.Optimizer. To add one, write it and add one line to
`OPTIMIZERS`. What its learning rate does while training is in schedules.py.
"""

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tenfold.core.world import ALONE, World
from tenfold.recipe.components import Choice, Count, NonNegative, Positive, Share, components

Parameters = Iterable[torch.nn.Parameter]


def _spare_the_compiler() -> None:
    """Let PyTorch make optimizers without loading its compiler: 1.4 s and 150 MiB for what tenfold never uses.

    Four methods of every optimizer are marked as not to be compiled when they are first called, and only for that
    all of `torch._dynamo` is imported. With the mark already there it is not.
    """
    marked: tuple[Any, ...] = (
        Optimizer.add_param_group,
        Optimizer.load_state_dict,
        Optimizer.state_dict,
        Optimizer.zero_grad,
    )
    for method in marked:
        itself = inspect.unwrap(method)
        if itself is not method:
            itself.__dynamo_disable = itself


_spare_the_compiler()
# Adam's update itself, without the wrapper around it that would load the compiler too.
_adam_update = inspect.unwrap(torch.optim.Adam.step)


def sgd(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    momentum: Share = 0.0,
    nesterov: bool = False,
    weight_decay: NonNegative = 0.0,
) -> Optimizer:
    """Stochastic gradient descent as Keras writes it: see `KerasSGD`; `weight_decay` is decoupled."""
    return KerasSGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


def rmsprop(
    parameters: Parameters,
    *,
    lr: Positive = 0.001,
    rho: Share = 0.9,
    epsilon: Positive = 1e-7,
    weight_decay: NonNegative = 0.0,
) -> Optimizer:
    """RMSprop as Keras writes it: see `KerasRMSprop`; `weight_decay` is decoupled."""
    return KerasRMSprop(parameters, lr=lr, rho=rho, epsilon=epsilon, weight_decay=weight_decay)


def adam(
    parameters: Parameters,
    *,
    lr: Positive = 0.001,
    beta1: Share = 0.9,
    beta2: Share = 0.999,
    epsilon: Positive = 1e-7,
) -> Optimizer:
    """Adam (Kingma & Ba, arXiv 1412.6980) with Keras' epsilon: see `KerasAdam`."""
    return KerasAdam(parameters, lr=lr, betas=(beta1, beta2), epsilon=epsilon)


def adamw(
    parameters: Parameters,
    *,
    lr: Positive = 0.001,
    beta1: Share = 0.9,
    beta2: Share = 0.999,
    epsilon: Positive = 1e-7,
    weight_decay: NonNegative = 0.004,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101); Keras' defaults."""
    return KerasAdam(parameters, lr=lr, betas=(beta1, beta2), epsilon=epsilon, weight_decay=weight_decay)


def muon(
    parameters: Parameters | Iterable[dict[str, Any]],
    *,
    lr: Positive = 0.24,
    momentum: Share = 0.6,
    iterations: Count = 3,
    other_lr: Positive = 0.05,
    head_lr: Positive = 0.67,
    other_momentum: Share = 0.85,
    weight_decay: NonNegative = 0.0067,
) -> Optimizer:
    """Muon for convolution kernels, Nesterov SGD for the rest: see `Muon`.

    `head_lr` is the rate of matrices (the output layer), `other_lr` that of vectors; `weight_decay` is what one step
    takes of those at the full rate. Where logits are a mean over features (`swift`), gradients are that much smaller
    and want larger rates: airbench94_muon's come to 0.053 and 0.67 times the batch size, its decay to 2e-6 times it.
    """
    rest = {"momentum": other_momentum, "weight_decay": weight_decay}
    kinds = {3: {"lr": lr, "momentum": momentum}, 2: {"lr": head_lr, **rest}, 1: {"lr": other_lr, **rest}}
    given: list[Any] = list(parameters)
    groups: list[dict[str, Any]] = given if given and isinstance(given[0], dict) else [{"params": given}]
    parts = [
        {**group, **settings, "params": [p for p in group["params"] if min(max(p.ndim, 1), 3) == rank]}
        for group in groups
        for rank, settings in kinds.items()
    ]
    return Muon([part for part in parts if part["params"]], iterations)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "muon": muon,
}


def build_optimizer(choice: Choice, parameters: Parameters | Iterable[dict[str, Any]]) -> Optimizer:
    """The optimizer that a recipe's `[optimizer]` names, over the trainable ones of `parameters`.

    `parameters` may be groups instead, as PyTorch's optimizers take them; those are kept whole, because a frozen
    parameter of a group may learn later.
    """
    trainable = [part for part in parameters if isinstance(part, dict) or part.requires_grad]
    return components("optimizer")[choice.name](trainable, **choice.options)


def share_work(optimizer: Optimizer, world: World) -> None:
    """Let the processes of `world`, which have the same gradients, share what of a step is worth it."""
    if isinstance(optimizer, Muon):
        optimizer.world = world


class _KerasOptimizer(Optimizer):
    """What the two optimizers below share: the walk over parameters and the decoupled decay."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                _decay(parameter, group)
                self.update(parameter, parameter.grad, self.state[parameter], group)

    @abstractmethod
    def update(
        self, parameter: Tensor, gradient: Tensor, memory: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        """Move `parameter` in place; what the optimizer remembers of it is in `memory`."""


def _decay(parameter: Tensor, group: dict[str, Any]) -> None:
    if group["weight_decay"]:
        parameter.mul_(1 - group["lr"] * group["weight_decay"])


class KerasSGD(_KerasOptimizer):
    """SGD with Keras' momentum: `v = m v - lr g; w = w + v` (Nesterov: `w = w + m v - lr g`).

    The learning rate is inside the velocity, so that after a change of the rate the first steps still carry the
    old rate's velocity; PyTorch's SGD scales the whole velocity by the new rate at once.
    """

    def __init__(
        self, parameters: Parameters, lr: float, momentum: float, nesterov: bool, weight_decay: float
    ):
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    def update(
        self, parameter: Tensor, gradient: Tensor, memory: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        """Keras' momentum update; without momentum, a plain step."""
        lr, momentum = group["lr"], group["momentum"]
        if not momentum:
            parameter.add_(gradient, alpha=-lr)
            return
        if not memory:
            memory["velocity"] = torch.zeros_like(parameter)
        velocity = memory["velocity"]
        velocity.mul_(momentum).add_(gradient, alpha=-lr)
        if group["nesterov"]:
            parameter.add_(velocity, alpha=momentum).add_(gradient, alpha=-lr)
        else:
            parameter.add_(velocity)


class KerasRMSprop(_KerasOptimizer):
    """RMSprop with epsilon inside the root: `v = rho v + (1 - rho) g^2; w = w - lr g / sqrt(v + epsilon)`."""

    def __init__(self, parameters: Parameters, lr: float, rho: float, epsilon: float, weight_decay: float):
        super().__init__(parameters, {"lr": lr, "rho": rho, "epsilon": epsilon, "weight_decay": weight_decay})

    def update(
        self, parameter: Tensor, gradient: Tensor, memory: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        """Keras' RMSprop update."""
        if not memory:
            memory["mean_square"] = torch.zeros_like(parameter)
        square = memory["mean_square"]
        square.mul_(group["rho"]).addcmul_(gradient, gradient, value=1 - group["rho"])
        parameter.addcdiv_(gradient, (square + group["epsilon"]).sqrt_(), value=-group["lr"])


class Muon(_KerasOptimizer):
    """Momentum orthogonalised by Newton-Schulz iterations (Jordan et al., "Muon", 2024), for kernels of any shape.

    A kernel (O, I, h, w) is seen as a matrix (O, I h w). Before its step it is scaled to a norm of sqrt(O), which
    takes the place of weight decay; the step is the nearest matrix to the Nesterov gradient whose singular values are
    all about one, times the rate. Parameters of fewer dimensions take steps of SGD with Nesterov's momentum and
    decoupled decay, as PyTorch writes it: `v = m v + g; w = w - lr (g + m v)`.

    In a `world` of processes, each orthogonalises some of the kernels' steps and tells the others.
    """

    world: World = ALONE

    def __init__(self, groups: list[dict[str, Any]], iterations: int) -> None:
        super().__init__(groups, {"weight_decay": 0.0, "iterations": iterations})
        for group in self.param_groups:
            # Decay is per step at the full rate, whatever that is.
            group["weight_decay"] /= group["lr"]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient."""
        if self.world.alone:
            super().step()
            return
        learning = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        directions = [self._direction(p, p.grad, self.state[p], group) for p, group in learning]
        kernels = [i for i, (parameter, _) in enumerate(learning) if parameter.ndim > 2]
        # The largest first, in turn: so each process has about as much to do.
        for turn, i in enumerate(sorted(kernels, key=lambda i: -directions[i].numel())):
            if turn % self.world.size == self.world.rank:
                directions[i] = _orthogonal_step(directions[i], learning[i][1]["iterations"])
            else:
                directions[i] = torch.zeros_like(directions[i])
        self.world.add_all([directions[i] for i in kernels])
        for (parameter, group), direction in zip(learning, directions, strict=True):
            _decay(parameter, group)
            self._move(parameter, direction, group)

    def update(
        self, parameter: Tensor, gradient: Tensor, memory: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        """One step of either kind; the decay is done."""
        direction = self._direction(parameter, gradient, memory, group)
        if parameter.ndim > 2:
            direction = _orthogonal_step(direction, group["iterations"])
        self._move(parameter, direction, group)

    def _direction(
        self, parameter: Tensor, gradient: Tensor, memory: dict[str, Tensor], group: dict[str, Any]
    ) -> Tensor:
        """Nesterov's gradient."""
        if not memory:
            memory["velocity"] = torch.zeros_like(parameter)
        velocity = memory["velocity"].mul_(group["momentum"]).add_(gradient)
        return gradient.add(velocity, alpha=group["momentum"])

    def _move(self, parameter: Tensor, direction: Tensor, group: dict[str, Any]) -> None:
        if parameter.ndim > 2:
            parameter.mul_(math.sqrt(len(parameter)) / parameter.norm())
        parameter.add_(direction, alpha=-group["lr"])


def _orthogonal_step(direction: Tensor, iterations: int) -> Tensor:
    return orthogonalised(direction.flatten(1), iterations).view_as(direction)


# A quintic whose iteration drives every singular value in (0, 1] to about one, fast rather than exactly (ibid.).
_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: Tensor, iterations: int) -> Tensor:
    """`matrix` (m, n) with its singular values driven to about one by `iterations` of Newton and Schulz.

    Every iterate is a polynomial of S = X X^T times X, so the iterations are carried out on S, which is small, and
    multiply X once. In single precision that is off by 3e-6 of the result after three iterations and by 3e-4 after
    five, where the iteration itself leaves values between 0.7 and 1.2.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    start = matrix.T if tall else matrix
    start = start / (start.norm() + 1e-7)
    linear, cubic, quintic = _QUINTIC
    square, polynomial = start @ start.T, None
    for iteration in range(iterations):
        factor = torch.addmm(square, square, square, beta=cubic, alpha=quintic)
        factor.diagonal().add_(linear)
        polynomial = factor if polynomial is None else factor @ polynomial
        if iteration + 1 < iterations:
            square = factor @ square @ factor
    result = start if polynomial is None else polynomial @ start
    return result.T if tall else result


class KerasAdam(torch.optim.AdamW):
    """Adam as Keras writes it: `w = w - lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)`.

    PyTorch divides v by `1 - b2^t` before it adds epsilon. Both are the same where PyTorch's epsilon is Keras'
    divided by `sqrt(1 - b2^t)`, so this sets it anew at each step and leaves the rest to PyTorch's fused update.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr=lr, betas=betas, eps=epsilon, weight_decay=weight_decay, fused=True)
        for group in self.param_groups:
            group["keras_epsilon"] = epsilon

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            group["steps"] = group.get("steps", 0) + 1
            group["eps"] = group["keras_epsilon"] / math.sqrt(1 - group["betas"][1] ** group["steps"])
        _adam_update(self)

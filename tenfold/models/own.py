"""A model of the user's own: any PyTorch module becomes a network by one call.

Code is never imported because a run or a recipe names it. A run notes what its model was called; whoever opens the
run again hands the module over, or names it on the command line and confirms it.
"""

import ast
import copy
import hashlib
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.core.errors import InputError
from tenfold.models.network import Network, Preprocessing, Shape
from tenfold.recipe.components import OWN, Choice, own_words

Make = Callable[[Shape, int], nn.Module]


def own(
    image_shape: Shape, classes: int, *, code: str = "", structure: str = "", source: str = ""
) -> Network:
    """A module of your own, which is handed over with `model=` or named with `--model` and `--trust-code`.

    `code` is where it came from; `structure`, a digest of its layers; `source`, one of its classes' code. None is
    ever imported. Raises InputError that says how to hand it over.
    """
    raise not_given(code)


def not_given(code: str) -> InputError:
    """What to say where a module of the user's own is needed and was not handed over."""
    return InputError(
        f"the model is a module of your own{f' ({code})' if code else ''}, and tenfold imports no code because a run "
        f"or recipe names it. On the command line add {' '.join(own_words(code))}; in "
        "Python give it again: tenfold.load_run(RUN, model=...), or model=... of train, resume, evaluate, predict."
    )


class Own(Network):
    """A network around a module; see `wrap`."""

    def __init__(self, module: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.module = module
        self._preprocessing = preprocessing

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised `images` (N, C, H, W)."""
        return self.module(images)

    @property
    def preprocessing(self) -> Preprocessing:
        """What was said when it was wrapped."""
        return self._preprocessing


def wrap(module: nn.Module, *, preprocessing: Preprocessing | None = None) -> Network:
    """A network from `module`, which maps float images (N, C, H, W) to logits (N, classes), without a softmax.

    It sees `(pixels - mean) / deviation` as `preprocessing` says, by default pixels divided by 255. A Network is
    given back as it is; write one where the module needs more than that: see `tenfold.models.Network`.
    """
    return module if isinstance(module, Network) else Own(module, preprocessing or Preprocessing())


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model that the user handed over: `make` gives it for an image shape (C, H, W) and a number of classes."""

    make: Make
    code: str = ""

    def build(self, image_shape: Shape, classes: int) -> Network:
        """The network for such images and classes. Raises InputError where it does not map them to logits."""
        where = f"the model {self.code}" if self.code else "the model"
        try:
            module: Any = self.make(image_shape, classes)
        except TypeError as error:
            raise InputError(
                f"{where}: calling it with the image shape {image_shape} and {classes} classes failed: {error}. "
                "Give a function (image_shape, classes) that makes the module, or the module itself."
            ) from error
        if not isinstance(module, nn.Module):
            raise InputError(
                f"{where}: called with {image_shape} and {classes} classes it gave {type(module).__name__}; expected "
                "a torch.nn.Module."
            )
        network = wrap(module).cpu()
        try:
            with torch.no_grad():
                logits: Any = network.eval()(torch.zeros(2, *image_shape))
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
            raise InputError(
                f"{where}: cannot take two images of shape {image_shape}: {error}. It gets float images (N, C, H, "
                "W); set data.image_size and data.channels to what it expects."
            ) from error
        if not isinstance(logits, Tensor) or logits.shape != (2, classes):
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(
                f"{where}: made {found} of two images; expected logits of shape (2, {classes}), one for each class. "
                "Give the module that many outputs, and return them alone."
            )
        network.train()
        return network


def given_model(model: "nn.Module | Make | OwnModel") -> OwnModel:
    """The model that a Python caller gave: a module, or a function (image_shape, classes) that makes one.

    A module is copied whenever a model is built, so that the caller's stays as it is.
    """
    if isinstance(model, OwnModel):
        return model
    if isinstance(model, nn.Module):
        return OwnModel(lambda image_shape, classes: copy.deepcopy(model))
    if not callable(model):
        raise InputError(
            f"model={model!r}: expected a torch.nn.Module or a function (image_shape, classes) that makes one. A "
            "built-in model is chosen by its recipe."
        )
    return OwnModel(model, _import_path(model))


def named_model(code: str | None, trusted: bool) -> OwnModel | None:
    """The model that the command line names as PACKAGE.MODULE:NAME, imported only if the user says to trust it."""
    if code is None:
        if trusted:
            raise InputError("--trust-code: which code? Name it with --model PACKAGE.MODULE:NAME.")
        return None
    if not re.fullmatch(r"[\w.]+:[\w.]+", code):
        raise InputError(f"--model {code}: expected PACKAGE.MODULE:NAME, such as mymodels.small:make.")
    if not trusted:
        raise InputError(
            f"--model {code}: importing it runs its code with all your rights. If you trust it, add --trust-code."
        )
    found = _imported(code)
    return OwnModel(given_model(found).make, code)


def own_choice(code: str, structure: str = "", source: str = "") -> Choice:
    """What a recipe and model.json hold of a module of the user's own."""
    return Choice.model_validate({"name": OWN, "code": code, "structure": structure, "source": source})


def own_changes(code: str) -> dict[str, str]:
    """Overrides that put a module of the user's own in the place of a recipe's model."""
    return {f"model.{key}": value for key, value in own_choice(code).model_dump().items()}


def build_own(choice: Choice, model: OwnModel, image_shape: Shape, classes: int) -> tuple[Network, Choice]:
    """The network, and what is written down of it. Raises InputError where it is not the one that `choice` notes."""
    check_own(choice, model)
    network = model.build(image_shape, classes)
    found = {"structure": structure_of(network), "source": source_of(network)}
    for kind, name in (("layers", "structure"), ("code", "source")):
        noted = choice.options.get(name, "")
        # Code typed at a prompt has no source to compare.
        if noted and found[name] and noted != found[name]:
            raise InputError(
                f"the model{f' {model.code}' if model.code else ''} has other {kind} than the one that was trained "
                f"({choice.options.get('code') or 'a module given in Python'}). Give that one, or train a new run."
            )
    return network, own_choice(model.code or choice.options.get("code", ""), **found)


def check_own(choice: Choice, model: OwnModel | None) -> None:
    """Raise InputError where a module of the user's own is needed and not given, or given and not needed."""
    if choice.name != OWN and model is not None:
        raise InputError(
            f"the model is tenfold's own {choice.name}, so none is to be given. Leave model=... (--model) out."
        )
    if choice.name == OWN and model is None:
        raise not_given(choice.options.get("code", ""))


def structure_of(network: Network) -> str:
    """A digest of the layers of a network and of their settings, as PyTorch prints them."""
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(network))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def source_of(network: Network) -> str:
    """A digest of the code of a network's classes, comments and docstrings apart; "" where a class has no source.

    Classes of installed packages are left out, as are functions that a class only calls.
    """
    kinds = {type(module) for module in network.modules()}
    try:
        texts = sorted(_code(kind) for kind in kinds if _is_users(kind))
    except (OSError, TypeError, SyntaxError):
        return ""
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()


def _is_users(kind: type) -> bool:
    path = Path(inspect.getfile(kind))
    return not path.is_relative_to(Path(__file__).parents[1]) and not {"site-packages", "dist-packages"} & {
        *path.parts
    }


def _code(kind: type) -> str:
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _imported(code: str) -> Any:
    module_name, _, name = code.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` would have it, and the installed command has not
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = vars(found)[part]
    except KeyError as error:
        raise InputError(f"--model {code}: {module_name} has no {error.args[0]!r}.") from None
    except Exception as error:  # whatever the user's module raises while it is imported
        raise InputError(f"--model {code}: cannot be imported: {type(error).__name__}: {error}.") from error
    return found


def _import_path(make: Make) -> str:
    """PACKAGE.MODULE:NAME of a function or class, where another process could import it; else nothing."""
    if not (inspect.isfunction(make) or inspect.isclass(make)):
        return ""
    importable = make.__module__ != "__main__" and "<" not in make.__qualname__
    return f"{make.__module__}:{make.__qualname__}" if importable else ""

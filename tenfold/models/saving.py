"""A finished model in two files: its description (JSON) and its weights. With them alone it can be used anywhere."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tenfold.models import Classifier, OwnModel, Preprocessing, build_model
from tenfold.recipe.components import Choice, check_choice


def build_described(description: Mapping[str, Any], own: OwnModel | None = None) -> Classifier:
    """The classifier that a description describes, with weights of its own; `own` is the user's model, if it is one.

    Raises ValueError where it describes none, and InputError where `own` is not the model that it describes.
    """
    faults: list[str] = []
    choice = check_choice("model", dict(description["architecture"]), faults)
    if faults:
        raise ValueError(f"does not describe a model of this tenfold ({'; '.join(faults)})")
    channels, height, width = description["image_shape"]
    numbers = {key: tuple(map(float, value)) for key, value in description["preprocessing"].items()}
    if min(channels, height, width, len(description["class_names"])) < 1:
        raise ValueError("does not describe a model: its images or classes are none")
    # A grey image is made as many channels as a backbone's preprocessing has.
    unfit = channels > 1 and any(len(value) not in (1, channels) for value in numbers.values())
    if unfit or 0 in numbers["deviation"]:
        raise ValueError(f"has a preprocessing that does not fit images of {channels} channels")
    try:
        return build_model(
            Choice(**choice),
            (channels, height, width),
            len(description["class_names"]),
            preprocessing=Preprocessing(**numbers),
            own=own,
        )
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"does not describe a model that can be built ({error})") from None


def put_tensors(tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    """Load tensors into a model. Raises ValueError, naming the first, where names or shapes do not fit."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [name for name in expected if found.get(name) != expected[name]]
    wrong += sorted(set(found) - set(expected))
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"{len(wrong)} tensors do not fit the model; first {name!r}: expected "
            f"{expected.get(name, 'none of that name')}, found {found.get(name, 'none')}"
        )
    model.load_state_dict(tensors)

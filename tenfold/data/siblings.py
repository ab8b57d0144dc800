"""Names that say whose changed copy an image is: `img_0001.png`, `img_0001_flip.png`, `img_0001_rot10.png`."""

import re
from collections.abc import Sequence

import numpy as np

_WORDS = (
    r"(?:[hv][ _-]?)?flip(?:ped)?(?:[ _-]?(?:lr|ud|[hvxy]|horizontal|vertical))?",
    r"(?:horizontal|vertical|mirror(?:ed)?|rot(?:at(?:e|ed|ion))?|turned)",
    r"(?:bright(?:er|ness|ened)?|dark(?:er|ened)?|contrast|gamma|hue|satur(?:ated|ation)|jitter|colou?rjitter)",
    r"(?:noise|noisy|blur(?:red|ry)?|sharp(?:en|ened)?|zoom(?:ed)?|shift(?:ed)?|shear(?:ed)?|translated?|cropped)",
    r"(?:aug(?:mented|mentation)?|transformed|invert(?:ed)?|equali[sz]ed?|elastic|copy|duplicate)",
)
_CHANGE = re.compile(
    rf"(?P<stem>.+?)(?:[ _.-]+(?:{'|'.join(_WORDS)})(?:[ _=-]*[-+]?\d+(?:[.,]\d+)?(?:deg|px|%)?)*)+",
    re.IGNORECASE,
)
_ROBOFLOW = re.compile(r"(?P<stem>.+)[._]rf[._][0-9a-f]{32}", re.IGNORECASE)
_AGAIN = re.compile(r"(?P<stem>.*\d) ?\([1-9]\)")


def siblings(paths: Sequence[str]) -> list[np.ndarray]:
    """Groups of at least two positions of files of one folder whose names say that they show the same picture.

    A name of a stem and a word for a change (`_flip`, `_rot10`, `_bright`, `-aug-3`, ` copy`) goes with the file of
    the stem's name, and with its other changes; without that file only if the stem has a digit, because `wood_blur_1`
    and `wood_blur_2` may well be two pictures. `IMG_12 (1)` goes with `IMG_12`. Names of different folders are not
    compared: numbers often begin anew in each.
    """
    found: dict[tuple[str, str], list[int]] = {}
    changed: set[tuple[str, str]] = set()
    again: list[tuple[tuple[str, str], int]] = []
    for position, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        plain = name.rpartition(".")[0] or name
        match = _ROBOFLOW.fullmatch(plain) or _CHANGE.fullmatch(plain)
        if match is None and (second := _AGAIN.fullmatch(plain)):
            again.append(((folder, second["stem"].lower()), position))
            continue
        key = folder, (match["stem"] if match else plain).lower()
        found.setdefault(key, []).append(position)
        if match:
            changed.add(key)
    originals = {_original(path) for path in paths}
    for key, position in again:
        if key in originals:
            found[key].append(position)
            changed.add(key)
    return [
        np.array(positions)
        for key, positions in found.items()
        if len(positions) > 1 and key in changed and (key in originals or re.search(r"\d", key[1]))
    ]


def _original(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, (name.rpartition(".")[0] or name).lower()

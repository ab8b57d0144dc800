"""The one shape that a source's images are brought to: guessed, corrected by what is met, and said."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import class_name, plural
from tenfold.data.decode import Misfit, Original, Target, cropped_share, decode, real_range, whole_range
from tenfold.data.formats import Encoded
from tenfold.data.limits import BadPicture
from tenfold.data.originals import Originals
from tenfold.data.sources.parts import Part, split_named

LARGEST_OWN_SIZE = 1024
MAJORITY = 0.99  # the share of images whose common size or gray is kept in spite of a few others
MUCH_CROPPED = 0.5  # the median share of a picture beyond which "auto" pads where it would crop
NOTED_CROP = 0.05
MIXED = 16  # a picture whose values end so many times lower than the brightest one's may have another range

Pictures = Callable[[], Iterator[tuple[int, Encoded]]]
Measured = Iterable[tuple[str, float, float]]


def first_target(pictures: Pictures, data: recipe.Data) -> Target:
    """The wanted shape; what the recipe leaves open is guessed from the first image that can be read."""
    pixels, original = _first_image(pictures)
    height, width = pixels.shape[:2]
    own_size = data.image_size is None and max(height, width) <= LARGEST_OWN_SIZE
    if not own_size:
        height = width = data.image_size or data.unequal_size
    only_gray = data.channels == "auto" and original.gray
    channels = 1 if only_gray or data.channels == "grayscale" else 3
    guesses = {"size": own_size, "gray": only_gray, "range": True}
    chosen = frozenset(guess for guess, made in guesses.items() if made)
    return Target(height, width, channels, "crop" if data.fit == "auto" else data.fit, guesses=chosen)


def _first_image(pictures: Pictures) -> tuple[np.ndarray, Original]:
    reason = ""
    for _, encoded in pictures():
        try:
            return decode(encoded, None)
        except BadPicture as error:
            reason = reason or str(error)
    raise InputError(f"none of the source's images can be read; the first one: {reason}")


def corrected(target: Target, misfit: Misfit, data: recipe.Data, measured: Callable[[], Measured]) -> Target:
    """The target without the guess that `misfit` disproved; `measured` gives the extremes of all images."""
    guess = misfit.args[0]
    guesses = target.guesses - {guess}
    if guess == "size":
        return replace(target, height=data.unequal_size, width=data.unequal_size, guesses=guesses)
    if guess == "gray":
        return replace(target, channels=3, guesses=guesses)
    found: dict[str, tuple[float, float]] = {}
    for kind, low, high in measured():
        lowest, highest = found.get(kind, (math.inf, -math.inf))
        found[kind] = (min(lowest, low), max(highest, high))
    return replace(
        target,
        whole_range=whole_range(*found["whole"]) if "whole" in found else None,
        real_range=real_range(*found["real"]) if "real" in found else None,
        guesses=guesses,
    )


def reconsidered(target: Target, originals: Originals, data: recipe.Data) -> Target:
    """A better target, now that every image was seen: what nearly all have in common, and how to fit the others."""
    better = replace(target, guesses=frozenset())
    if not len(originals):
        return better
    (width, height), most = originals.usual_size()
    unequal = data.image_size is None and most >= MAJORITY * len(originals)
    if unequal and max(width, height) <= LARGEST_OWN_SIZE:
        better = replace(better, height=height, width=width)
    if data.channels == "auto" and originals.gray.sum() >= MAJORITY * len(originals):
        better = replace(better, channels=1)
    if data.fit == "auto" and median_crop(originals, better) > MUCH_CROPPED:
        better = replace(better, fit="pad")
    return better


def target_of(originals: Originals, first: Pictures, kinds: Sequence[str], data: recipe.Data) -> Target:
    """The target that decoding all images would come to, by what is known of them: `first` gives the first one.

    kinds: of those of more than 8 bits, in order, whether they are "whole" numbers or "real" ones.
    """
    target = first_target(first, data)
    wide = originals.wide

    def measured() -> Measured:
        return zip(kinds, originals.low[wide].tolist(), originals.high[wide].tolist(), strict=True)

    other_size = (originals.width != target.width) | (originals.height != target.height)
    for guess, disproved in (("size", other_size), ("gray", ~originals.gray), ("range", wide)):
        if guess in target.guesses and disproved.any():
            target = corrected(target, Misfit(guess), data, measured)
    return reconsidered(target, originals, data)


def median_crop(originals: Originals, target: Target) -> float:
    """The median share of a picture's area that cropping to the target's shape cuts away, from 0 to 1."""
    if not len(originals):
        return 0.0
    return float(np.median(cropped_share(originals.width * 1.0, originals.height * 1.0, target)))


# What is said ------------------------------------------------------------------------------------------------


def notices(target: Target, paths: Sequence[str], originals: Originals, data: recipe.Data) -> list[str]:
    """A sentence for each thing about the images at `paths` that training should not pass over in silence."""
    return [
        *_odd_ones(target, paths, originals, data),
        *_fitted(target, originals),
        *_ranges(target, paths, originals),
        *_frames(paths, originals),
    ]


def _odd_ones(target: Target, paths: Sequence[str], images: Originals, data: recipe.Data) -> Iterator[str]:
    """Few images that differ from all others: they are brought to the others' size and gray."""
    odd = np.flatnonzero((images.width != target.width) | (images.height != target.height))
    if len(odd) and data.image_size is None and len(odd) <= (1 - MAJORITY) * len(images):
        one = odd[0]
        yield (
            f"{plural(len(odd), 'image')} of another size than all others, for instance {paths[one]} "
            f"({images.width[one]}x{images.height[one]}), resized to {target.width}x{target.height}"
        )
    colour = np.flatnonzero(~images.gray & (target.channels == 1))
    if len(colour) and data.channels == "auto":
        yield (
            f"{plural(len(colour), 'colour image')} among gray ones, for instance {paths[colour[0]]}, turned to gray "
            '(data.channels="rgb" keeps the colour)'
        )


def _fitted(target: Target, images: Originals) -> Iterator[str]:
    share = median_crop(images, target)
    if target.fit == "crop" and share > NOTED_CROP:
        yield (
            f"cropping to {target.width}x{target.height} cuts away {share:.0%} of the median image "
            '(data.fit="pad" or "squash" keeps it)'
        )
    if target.fit != "crop" and share > NOTED_CROP:
        how = "padded with black" if target.fit == "pad" else "squashed"
        yield (
            f"images are {how} to {target.width}x{target.height}: cropping would cut away {share:.0%} of the "
            'median image (data.fit="crop" does)'
        )


def _ranges(target: Target, paths: Sequence[str], images: Originals) -> Iterator[str]:
    wide = np.flatnonzero(images.wide)
    if not len(wide):
        return
    lowest, highest = images.low[wide].min(), images.high[wide].max()
    scaled = [chosen for chosen in (target.whole_range, target.real_range) if chosen]
    ranges = " and ".join(f"{low:g} to {high:g}" for low, high in scaled)
    yield (
        f"{plural(len(wide), 'image')} of more than 8 bits {'has' if len(wide) == 1 else 'have'} values from "
        f"{lowest:g} to {highest:g}; "
        f"{ranges or 'the whole range of the format'} becomes 0 to 255 in all of them"
    )
    dim = wide[images.high[wide] * MIXED < highest]
    if len(dim) > len(wide) // 10:
        yield (
            f"{plural(len(dim), 'image')} of more than 8 bits, for instance {paths[dim[0]]}, "
            f"{'uses' if len(dim) == 1 else 'use'} less than a {MIXED}th of the others' range: the ranges may be "
            "mixed, and these come out nearly black"
        )
    if len(wide) < len(images):
        yield (
            f"images of 8 bits ({len(images) - len(wide):,}) and of more ({len(wide):,}) are mixed: their "
            "brightness agrees only if both use their whole range"
        )


def _frames(paths: Sequence[str], images: Originals) -> Iterator[str]:
    several = np.flatnonzero(images.more_frames)
    if len(several):
        yield (
            f"{plural(len(several), 'file')} with several frames or pages, for instance {paths[several[0]]}: only "
            "the first of each is used"
        )


def depth_notices(parts: Sequence[Part]) -> list[str]:
    """A sentence on images in folders within their class's folder, which count as images of that class."""
    deep = [
        (path, name)
        for part in parts
        for path, name in zip(part.paths, part.classes, strict=True)
        if "/" in (inside := f"/{path}".rpartition(f"/{name}/")[2])
        and f"/{name}/" in f"/{path}"
        and split_named(inside.partition("/")[0]) != (part.split or "")
    ]
    if not deep:
        return []
    path, name = deep[0]
    lie, they = ("lies", "it is") if len(deep) == 1 else ("lie", "they are")
    return [
        f"{plural(len(deep), 'image')} {lie} in folders within class folders, for instance {path}: "
        f"{they} of class {name!r}"
    ]


def class_notices(names: Sequence[str]) -> list[str]:
    """A sentence on class names that differ by nothing that can be seen, and one on upper and lower case."""
    spellings: dict[str, set[str]] = defaultdict(set)
    cases: dict[str, set[str]] = defaultdict(set)
    for name in set(names):
        clean = class_name(name)
        spellings[clean].add(name)
        cases[clean.casefold()].add(clean)
    alike = [
        f"{len(found)} folders whose names look alike ({', '.join(sorted(map(ascii, found)))}) are class {name!r}"
        for name, found in sorted(spellings.items())
        if len(found) > 1
    ]
    return alike + [
        f"the classes {' and '.join(map(repr, sorted(found)))} differ only in upper and lower case"
        for _, found in sorted(cases.items())
        if len(found) > 1
    ]

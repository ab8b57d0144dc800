"""From a source to its splits: open the pack, mind the bad files, deal the images."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from statistics import median
from typing import Any

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.progress import Progress
from tenfold.data.copies import with_clusters, with_copies
from tenfold.data.decode import Target, decode
from tenfold.data.limits import BadPicture
from tenfold.data.pack import Pack, open_pack
from tenfold.data.reading import BadFile
from tenfold.data.shards.opening import find_shards, is_address
from tenfold.data.shards.pixels import ShardPixels
from tenfold.data.source import Moved, Source
from tenfold.data.sources.opening import is_named, open_source
from tenfold.data.sources.parts import Part
from tenfold.data.split import Split
from tenfold.data.splits import Splits, make_splits, make_test_split

BAD_FILES_SHOWN = 10


def read_splits(
    data: recipe.Data,
    source: Source,
    progress: Progress | None = None,
    target: Target | None = None,
    class_names: tuple[str, ...] | None = None,
    clusters: Sequence[Sequence[int]] | None = None,
) -> Splits:
    """The training, validation and test images of `source`, decoded as `data` wants them.

    The images are decoded on the first call and mapped from the cache afterwards; `progress` is called with (images
    decoded, images in all), and again with those compared with others where near copies are looked for. `target`,
    `class_names` and `clusters` (rows of copies) are those of a run that exists: its images are decoded as they were,
    its classes keep their order, and its splits are drawn as they were. Raises InputError, naming the thing and the
    remedy, when the source cannot be used or more files are unreadable than `data.bad_files_limit` allows.
    """
    pack, fed = _opened(data, source, progress, target)
    table = with_copies(pack, data, progress) if clusters is None else with_clusters(pack.table, clusters)
    splits = make_splits(table, pack.pixels, data, source, pack.reading, pack.bad_files, class_names)
    return replace(splits, streamed=isinstance(pack.pixels, ShardPixels), fed=fed)


def _opened(
    data: recipe.Data, source: Source, progress: Progress | None, target: Target | None
) -> tuple[Pack, str]:
    """The images of a source, decoded or to be streamed; where there was a choice, which and why."""
    shards = find_shards(source)
    if shards is None:
        if data.streaming is True:
            raise InputError(
                f"data.streaming=true: {source.paths[0]} is no folder of packed shards. Make one with `tenfold pack "
                "SOURCE --shards FOLDER`, and train on that."
            )
        streams, fed = False, ""
    else:
        streams, why = shards.streams(data, target)
        fed = f"images are {'streamed from shards' if streams else 'decoded once into the cache'}: {why}"
    pack = shards.opened(data, target) if shards and streams else open_pack(data, source, progress, target)
    check_bad_files(pack.bad_files, len(pack.bad_files) + len(pack.table.rows), data.bad_files_limit)
    return pack, fed


def fold_splits(
    data: recipe.Data, source: Source, folds: int, progress: Progress | None = None
) -> tuple[Splits, ...]:
    """As many Splits of `source` as `folds`: over all of them every image is in the test split once.

    Folds are stratified by class and keep groups (`data.group`) or copies together; the validation images of each are
    drawn from its other folds. All share the pixels and the order of the classes; each is what `read_splits` gives
    with `data.folds` and `data.fold`, so a run on it is opened, resumed and evaluated like any other. Raises as
    `read_splits` does, and where the source has splits of its own.
    """
    parts = [data.model_copy(update={"folds": folds, "fold": number}) for number in range(1, folds + 1)]
    return tuple(read_splits(part, source, progress) for part in parts)


def reload_splits(data: recipe.Data, facts: dict[str, Any], moved: Moved | None = None) -> Splits:
    """The splits that a run's `data.json` (`facts`) describes, read as they were read then.

    `moved` says where its source is now: see `Source.moved`. Raises InputError where the source is gone.

    Runs of version 0.1 do not say how their images were decoded (cropped, and from the whole range of each format),
    nor what was kept together when splits were drawn (nothing).
    """
    if "decoding" not in facts:
        data = data.model_copy(update={"nested": True})
    if "together" not in facts:  # drawn before copies were kept together
        data = data.model_copy(update={"copies": "apart"})
    elif "clusters" not in facts:  # drawn when only exact copies were looked for
        data = data.model_copy(update={"copies": "exact" if facts["together"] else "apart"})
    if "streamed" in facts:  # what was chosen by this machine's room then, as a run goes on as it began
        data = data.model_copy(update={"streaming": facts["streamed"]})
    source = Source(**facts["source"])
    moved = moved or Moved()
    known = source.moved(moved)
    if moved.data is None:
        _check_images(known)
    if moved.labels is None:
        _check_labels(known)
    order, clusters = tuple(facts["class_names"]), facts.get("clusters")
    return read_splits(data, known, None, decoding_of(facts), order, clusters)


def _check_images(source: Source) -> None:
    """Raise InputError where the images are gone, with what helps."""
    here = not is_named(source.data) and not is_address(source.data)
    for path in source.paths if here else ():
        if not source.located(path).exists():
            raise InputError(
                f"{path}: the images are not there any more. {_say_moved('data', 'they have')}, which also takes "
                "the arrays of a run on arrays."
            )


def _check_labels(source: Source) -> None:
    """Raise InputError where the table of the images' labels is gone, with what helps."""
    if source.labels is not None and not source.located(source.labels).is_file():
        raise InputError(
            f"{source.labels}: the table of labels is not there any more. {_say_moved('labels', 'it has')}."
        )


def _say_moved(option: str, they_have: str) -> str:
    return (
        f"Where {they_have} moved, say so once: `tenfold report RUN --{option} PLACE` for a finished run, else "
        f"`tenfold resume RUN --{option} PLACE`; in Python: tenfold.load_run(RUN, {option}=...)"
    )


def decoding_of(facts: dict[str, Any]) -> Target:
    """How the images of a run were decoded, from its `data.json` (`facts`)."""
    if facts.get("decoding"):
        return Target.from_json(facts["decoding"])
    height, width, channels = facts["image_shape"]
    return Target(height, width, channels)


def load_test_split(
    data: recipe.Data,
    source: Source,
    class_names: tuple[str, ...],
    progress: Progress | None = None,
    target: Target | None = None,
) -> Split:
    """Labelled images to test a finished model on: a source's test split, or all of an unsplit source.

    With `target`, a run's, they are decoded as its own images were. Raises InputError where the source cannot be
    used or has classes that are not among `class_names`.
    """
    pack, _ = _opened(data, source, progress, target)
    return make_test_split(with_copies(pack, data, progress), pack.pixels, class_names)


def typical_size(data: recipe.Data, source: Source, images: int = 64) -> int:
    """The median shorter side, in pixels, of the first few `images` of each folder of a source: quick, for planning.

    Raises InputError where the source cannot be used or none of those images can be read.
    """
    if is_address(source.data) and (shards := find_shards(source)):
        return int(np.median(np.minimum(shards.index.originals.width, shards.index.originals.height)))
    parts = open_source(source).contents(data).parts
    sides = [side for part in parts for side in _sides(part, max(2, images // len(parts)))]
    if not sides:
        raise InputError(
            f"{source.data or source.train[0]}: none of its first images can be read; see `tenfold inspect`."
        )
    return int(median(sides))


def _sides(part: Part, images: int) -> Iterator[int]:
    for _, encoded in islice(part.encoded(), images):
        with suppress(BadPicture):
            original = decode(encoded, None)[1]
            yield min(original.width, original.height)


def check_bad_files(bad: Sequence[BadFile], total: int, limit: float) -> None:
    """Raise InputError where more of `total` files cannot be read than the share `limit`."""
    if len(bad) > limit * total:
        shown = "\n".join(f"  {file.path}: {file.reason}" for file in bad[:BAD_FILES_SHOWN])
        more = f"\n  and {len(bad) - BAD_FILES_SHOWN} more" if len(bad) > BAD_FILES_SHOWN else ""
        raise InputError(
            f"{len(bad)} of {total} image files cannot be read, more than data.bad_files_limit={limit:g} allows:\n"
            f"{shown}{more}\nMend or remove them, or raise the limit (1 goes on with whatever can be read)."
        )

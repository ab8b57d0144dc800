"""From a source to its splits: open the pack, mind the bad files, deal the images."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from statistics import median

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.data.decode import decode
from tenfold.data.pack import Pack, open_pack
from tenfold.data.sources.groups import Group
from tenfold.data.sources.opening import open_source
from tenfold.data.splits import Source, Split, Splits, make_splits, make_test_split

BAD_FILES_SHOWN = 10


def load_splits(
    data: recipe.Data, source: Source, progress: Callable[[int, int], None] | None = None
) -> Splits:
    """The training, validation and test images of `source`, decoded as `data` wants them.

    The images are decoded on the first call and mapped from the cache afterwards; `progress` is called with
    (images decoded, images in all). Raises InputError, naming the thing and the remedy, when the source cannot be
    used or more files are unreadable than `data.bad_files_limit` allows.
    """
    pack = open_pack(data, source, progress)
    _check_bad_files(pack, data.bad_files_limit)
    return make_splits(pack.table, pack.pixels, data, source, pack.bad_files)


def load_test_split(
    data: recipe.Data,
    source: Source,
    class_names: tuple[str, ...],
    progress: Callable[[int, int], None] | None = None,
) -> Split:
    """Labelled images to test a finished model on: a source's test split, or all of an unsplit source.

    Raises InputError where the source cannot be used or has classes that are not among `class_names`.
    """
    pack = open_pack(data, source, progress)
    _check_bad_files(pack, data.bad_files_limit)
    return make_test_split(pack.table, pack.pixels, class_names)


def typical_size(source: Source, images: int = 64) -> int:
    """The median shorter side, in pixels, of the first few `images` of each folder of a source: quick, for planning.

    Raises InputError where the source cannot be used or none of those images can be read.
    """
    groups = open_source(source).groups()
    sides = [side for group in groups for side in _sides(group, max(2, images // len(groups)))]
    if not sides:
        raise InputError(
            f"{source.data or source.train[0]}: none of its first images can be read; see `tenfold inspect`."
        )
    return int(median(sides))


def _sides(group: Group, images: int) -> Iterator[int]:
    for _, encoded in islice(group.encoded(), images):
        with suppress(OSError, ValueError):
            original = decode(encoded, None)[1]
            yield min(original.width, original.height)


def _check_bad_files(pack: Pack, limit: float) -> None:
    bad, total = pack.bad_files, len(pack.bad_files) + len(pack.table.rows)
    if len(bad) > limit * total:
        shown = "\n".join(f"  {file.path}: {file.reason}" for file in bad[:BAD_FILES_SHOWN])
        more = f"\n  and {len(bad) - BAD_FILES_SHOWN} more" if len(bad) > BAD_FILES_SHOWN else ""
        raise InputError(
            f"{len(bad)} of {total} image files cannot be read, more than data.bad_files_limit={limit:g} allows:\n"
            f"{shown}{more}\nMend or remove them, or raise the limit (1 goes on with whatever can be read)."
        )

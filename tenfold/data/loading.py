"""From a source to its splits: open the pack, mind the bad files, deal the images."""

from collections.abc import Callable

from tenfold import recipe
from tenfold.data.pack import Pack, open_pack
from tenfold.data.splits import Source, Split, Splits, make_splits, make_test_split
from tenfold.errors import InputError

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


def _check_bad_files(pack: Pack, limit: float) -> None:
    bad, total = pack.bad_files, len(pack.bad_files) + len(pack.table.rows)
    if len(bad) > limit * total:
        shown = "\n".join(f"  {file.path}: {file.reason}" for file in bad[:BAD_FILES_SHOWN])
        more = f"\n  and {len(bad) - BAD_FILES_SHOWN} more" if len(bad) > BAD_FILES_SHOWN else ""
        raise InputError(
            f"{len(bad)} of {total} image files cannot be read, more than data.bad_files_limit={limit:g} allows:\n"
            f"{shown}{more}\nMend or remove them, or raise the limit (1 goes on with whatever can be read)."
        )

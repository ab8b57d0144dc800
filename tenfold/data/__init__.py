"""From a source of labelled images to three splits of equal-sized uint8 images."""

from tenfold import recipe
from tenfold.data.splits import BadFile, Source, Split, Splits, make_splits

__all__ = ["BadFile", "Source", "Split", "Splits", "load_splits"]


def load_splits(data: recipe.Data, source: Source) -> Splits:
    """The training, validation and test images of `source`, as `data` wants them.

    Raises InputError, naming the thing and the remedy, when the source cannot be used.
    """
    from tenfold.data.sources import load

    table, pixels, bad_files = load(data, source)
    return make_splits(table, pixels, data, source, bad_files)

"""What the verbs that only look at things print: data, a recipe, the cache, weights."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote

import numpy as np
from matplotlib.figure import Figure
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from tenfold.augment import picture_augmentations
from tenfold.core.errors import InputError
from tenfold.core.files import atomic, cache_folder, make_output_folder
from tenfold.core.terminal import is_live, make_console
from tenfold.core.text import plural
from tenfold.data import Source, cache_entries, read_splits, remove_cache_entries
from tenfold.data.inspect import inspect_source, sample_images, summary
from tenfold.data.shards.packing import pack_shards
from tenfold.data.sources.opening import open_source
from tenfold.data.sources.tree import is_own
from tenfold.inference.graphs import cached_graphs, remove_cached_graphs
from tenfold.models import Classifier, build_model, summarise
from tenfold.models.named import NAMED, full_name
from tenfold.models.weights import all_local_weights, check_sum, fetch_weights, local_weights, weights_folder
from tenfold.recipe import Data, Recipe, load_recipe
from tenfold.report.figures import class_counts, picture_rows, sample_grid
from tenfold.report.inspection import write_inspection
from tenfold.report.kit.style import to_png
from tenfold.training.feature_cache import cached_features, remove_cached_features
from tenfold.workbench.progress import display_for
from tenfold.workbench.request import make_source
from tenfold.workbench.verbs import check_cache

# What a recipe is shown for when no source is named: the notebooks' images.
_CIFAR_SHAPE, _CIFAR_CLASSES = (3, 32, 32), 10
# How many images are pictured, each of another class.
_PICTURED = 10


def show_recipe(name: str | Path, overrides: Iterable[str], data: str | None) -> None:
    """Print a resolved recipe and its model's layers, for the images of `data` or for 32x32 RGB in 10 classes."""
    recipe = load_recipe(name, overrides)
    image_shape, classes = _shape(recipe, data or ("digits" if str(name) == "digits" else None))
    console = make_console()
    console.print(Syntax(recipe.to_toml(), "toml", background_color="default"), soft_wrap=False)
    console.print(layers_table(build_model(recipe.model, image_shape, classes)), soft_wrap=False)


def picture_recipe(name: str | Path, overrides: Iterable[str], source: str, out: Path) -> None:
    """Draw training images of `source` before and after each augmentation of a recipe, into the PNG file `out`.

    Raises InputError where the recipe has no augmentation or the source cannot be used.
    """
    recipe = load_recipe(name, overrides)
    if not recipe.augment:
        raise InputError(f"recipe {str(name)!r} has no [[augment]] table, so there is nothing to picture.")
    train = read_splits(recipe.data, make_source(data=source)).train
    _, first_of_class = np.unique(train.labels, return_index=True)
    rows = picture_augmentations(
        recipe.augment, train.images(first_of_class[:_PICTURED]), seed=recipe.fit.seed
    )
    _draw(picture_rows(rows), out)
    make_console().print(f"drawn in {escape(str(out))}")


def show_inspection(
    source: Source, options: Data, *, out: Path, as_json: bool = False, verify: bool = False
) -> bool:
    """Print what `inspect_source` finds, with a page and figures of it below `out`; whether it needs attention.

    The source is read as `options` say. As JSON, nothing is drawn. With `verify`, the cache is first compared with
    every image. Raises InputError where the source cannot be used.
    """
    if not as_json:
        _check_apart(source, out)
    console = make_console(markup=False)
    display = display_for(is_live(console) and not as_json)
    if verify:
        check_cache(options, source, display_for(not as_json))
    with display.decoding() as note:
        inspection = inspect_source(options, source, note)
    if as_json:
        print(json.dumps(inspection.to_json(), indent=2))
        return inspection.needs_attention
    console.print("\n".join(summary(inspection)))
    make_output_folder(out)
    counts = {split: list(classes.values()) for split, classes in inspection.counts.items()}
    drawn = {
        "class_counts": class_counts(counts, inspection.splits.class_names),
        "samples": sample_grid(*sample_images(inspection.splits), columns=8),
    }
    for name, figure in drawn.items():
        _draw(figure, out / f"{name}.png")
    console.print(f"drawn in {out}: {', '.join(f'{name}.png' for name in drawn)}")
    console.print(f"page to send: {write_inspection(inspection, out / 'inspection.html')}")
    return inspection.needs_attention


def _check_apart(source: Source, out: Path) -> None:
    """Raise InputError where the figures would lie among the source's own pictures, and be read with them."""
    if not out.is_dir() or not (names := [path.name for path in out.iterdir()]) or is_own(names):
        return
    for place in open_source(source).folders:
        if out.resolve().is_relative_to(place.resolve()):
            raise InputError(f"--out {out}: it is a folder of the source {place}. Choose a new folder.")


def show_cache(clear: bool) -> None:
    """Print what the cache holds, or remove it all."""
    console = make_console()
    if clear:
        freed = remove_cache_entries() + remove_cached_features() + remove_cached_graphs()
        console.print(f"{_size(freed)} removed from {escape(str(cache_folder()))}")
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    entries = cache_entries()
    for entry in entries:
        table.add_row(escape(entry.name), _size(entry.bytes))
    features = cached_features()
    if features:
        table.add_row(
            f"features of {plural(len(features), 'split')}", _size(sum(size for _, size in features))
        )
    graphs = cached_graphs()
    if graphs:
        table.add_row(f"exports of {plural(len(graphs), 'backbone')}", _size(sum(size for _, size in graphs)))
    total = sum(entry.bytes for entry in entries) + sum(size for _, size in (*features, *graphs))
    table.add_row("[bold]together[/]", f"[bold]{_size(total)}[/]")
    console.print(table, soft_wrap=False)
    console.print(
        f"in {escape(str(cache_folder()))}; `tenfold cache --clear` removes it, and it is made again when needed"
    )


def show_packing(source: Source, shards: Path | None, data: Data, images: int) -> None:
    """Pack a source into shards of so many images, and say what they hold. Raises as `pack_shards`."""
    if shards is None:
        raise InputError(
            f"no folder was named for the shards: `tenfold pack {source.paths[0]} --shards FOLDER`."
        )
    display = display_for(True)
    with display.decoding("packing") as note:
        index = pack_shards(source, shards, data, images, note)
    size, counts = sum(shard.bytes for shard in index.shards), Counter[str]()
    for shard in index.shards:
        counts[shard.split or "not split"] += shard.images
    console = make_console()
    console.print(
        f"{len(index):,} images of {len(index.classes)} classes in {plural(len(index.shards), 'shard')}, "
        f"{_size(size)}: {', '.join(f'{count:,} {split}' for split, count in counts.items())}"
    )
    for bad in index.bad_files:
        display.note(f"left out, {bad.reason}: {bad.path}")
    console.print(f"train on them: tenfold train {escape(quote(str(shards)))}")


def show_weights(names: Sequence[str], verify: bool) -> None:
    """Print the pretrained weights on this machine; fetch those of `names` first; check them all with `verify`."""
    console = make_console()
    for name in names:
        if name in NAMED:
            console.print(f"{name} is {NAMED[name].words}")
        if local_weights(name) is None:
            fetch_weights(name)
    wanted = {full_name(name) for name in names}
    files = [file for file in all_local_weights() if not wanted or file.backbone in wanted]
    for file in files:
        checked = f"  {check_sum(file)}" if verify else ""
        console.print(f"[bold]{file.backbone}[/]  {file.origin}  {escape(str(file.path))}{checked}")
    if not files:
        console.print(f"none yet; `tenfold weights NAME` fetches one, or bring a file to {weights_folder()}")


def layers_table(model: Classifier) -> Table:
    """Layer, output shape and parameters of each layer, with the totals."""
    channels, height, width = model.image_shape
    title = f"{model.architecture.name} for images of {height}x{width}x{channels} in {model.classes} classes"
    trainable, total = model.parameter_counts()
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = f"{total:,} parameters, {trainable:,} of them trainable"
    table.add_column("layer")
    table.add_column("kind")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    for layer in summarise(model):
        shape = " x ".join(str(size) for size in layer.output_shape)
        table.add_row(layer.name, layer.kind, shape, f"{layer.parameters:,}" if layer.parameters else "")
    return table


def _shape(recipe: Recipe, data: str | None) -> tuple[tuple[int, int, int], int]:
    if data is None:
        channels, height, width = _CIFAR_SHAPE
        size = recipe.data.image_size
        return (channels, size or height, size or width), _CIFAR_CLASSES
    splits = read_splits(recipe.data, make_source(data=data))
    return splits.image_shape, len(splits.class_names)


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _draw(figure: Figure, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(to_png(figure))

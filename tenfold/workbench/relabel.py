"""`tenfold relabel RUN`: which labels are likely wrong, a page to confirm or change them, and the corrected table."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tenfold.core.devices import choose_device
from tenfold.core.errors import InputError
from tenfold.core.files import make_output_folder, write_text
from tenfold.core.terminal import make_console
from tenfold.core.text import listed, plural, printable
from tenfold.data.loading import read_splits
from tenfold.data.sources.label_table import LabelTable, read_table, rows_of
from tenfold.data.split import Split
from tenfold.data.splits import Splits
from tenfold.findings.trust import label_suspects
from tenfold.inference.evaluation import predict_split
from tenfold.report.relabel import MOST, Suspect, write_relabel
from tenfold.runs.folder import Run, load_run
from tenfold.runs.predictions import Predictions
from tenfold.training.transfer import split_on_features

SUSPECTS, PAGE, LABELS = "suspects.csv", "relabel.html", "labels.csv"
COLUMNS = ("path", "label", "suggested", "probability", "split")  # of the suspects


def relabel(
    run: str | Path | Run,
    changes: str | Path | None = None,
    *,
    out: str | Path = "relabel",
    device: str = "auto",
) -> Path:
    """Write the labels that `run` suspects as `suspects.csv` and `relabel.html` into the folder `out`.

    Looked at are training and validation images, of a cross-validation all; test labels stay, so that a run on the
    corrected labels is compared on the same test images. With `changes`, a table of paths and labels such as the page
    saves, `labels.csv` is written instead, for `--labels`: every image with its label, some of them changed. Raises
    InputError where the images are no files of one place, and for changes of what is no image or no class. Gives
    the page, or the table.
    """
    run, out = load_run(run), Path(out)
    splits = run.splits()
    if splits.source.data is None:
        raise InputError(
            f"{run.path}: its splits are folders of their own (--train, --test), and a table of labels goes with one "
            "place. Train with --data and the folder above them, which has the same splits."
        )
    if changes is not None:
        return _corrected(run, splits, Path(changes), out)
    found = list(_suspects(run, splits, device))
    make_output_folder(out)
    write_text(out / SUSPECTS, _table([COLUMNS, *map(_row, found)]))
    write_relabel(found[:MOST], splits.train.pixels, run.name, splits.class_names, out / PAGE)
    console = make_console(markup=False)
    console.print(f"{plural(len(found), 'label')} suspected, of {_judged_words(splits)}: {out / SUSPECTS}")
    console.print(f"page: {out / PAGE}; what it saves: `tenfold relabel {run.path} --changes FILE`")
    return out / PAGE


def _judged_words(splits: Splits) -> str:
    if splits.folds:
        return f"{len(splits.test):,} images, each judged by a model that never saw it"
    return (
        f"{len(splits.train) + len(splits.validation):,} training and validation images (--folds judges each image "
        "by a model that never saw it)"
    )


def _suspects(run: Run, splits: Splits, device: str) -> Iterator[Suspect]:
    """The likely wrong labels, the most suspicious first within each split."""
    for split, answers in _judged(run, splits, device):
        rows = dict(zip(split.paths, split.rows.tolist(), strict=True))
        for position in label_suspects(answers.labels, answers.probabilities).tolist():
            path = str(answers.paths[position])
            best = int(answers.probabilities[position].argmax())
            yield Suspect(
                path=path,
                split=split.name,
                label=answers.class_names[answers.labels[position]],
                suggested=answers.class_names[best],
                probability=float(answers.probabilities[position, best]),
                row=rows[path],
            )


def _judged(run: Run, splits: Splits, device: str) -> Iterator[tuple[Split, Predictions]]:
    if splits.folds:
        yield splits.test, run.predictions("test")
        return
    where = choose_device(device)
    model, train = split_on_features(run.model(), splits.train, where, lambda done, total: None)
    yield splits.train, predict_split(model, train, splits.class_names, where)
    yield splits.validation, run.predictions("validation")


def _row(suspect: Suspect) -> list[str]:
    return [suspect.path, suspect.label, suspect.suggested, f"{suspect.probability:.4f}", suspect.split]


def _table(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


# Corrections -------------------------------------------------------------------------------------------------


def _corrected(run: Run, splits: Splits, changes: Path, out: Path) -> Path:
    """Write the table of all labels with the changes in it, see that it is read as it is meant, and say what next."""
    said = _changes(run, splits, changes)
    rows = list(_labels(run, splits, said))
    make_output_folder(out)
    write_text(out / LABELS, _table(rows))
    moved = sum(said[path] != label for path, label in _present(splits) if path in said)
    checked = read_splits(run.recipe.data, replace(splits.source, labels=str(out / LABELS)).meant_from_here())
    if not splits.folds and checked.test.fingerprint != splits.test.fingerprint:
        raise InputError(
            f"{out / LABELS}: the test images that it gives are not those of {run.path}; nothing can be compared. "
            "The folder has changed, or its images are no files of their own."
        )
    console = make_console(markup=False)
    console.print(f"{plural(moved, 'label')} of {len(rows) - 1:,} changed: {out / LABELS}")
    console.print(f"learn from them: {run.train_command()} --labels {out / LABELS}")
    if not splits.folds:
        console.print(f"what is gained, on the same test images: tenfold compare {run.path} NEW_RUN")
    return out / LABELS


def _present(splits: Splits) -> Iterator[tuple[str, str]]:
    for split in (splits.test,) if splits.folds else splits:
        for path, label in zip(split.paths, split.labels.tolist(), strict=True):
            yield path, splits.class_names[label]


def _changes(run: Run, splits: Splits, path: Path) -> dict[str, str]:
    """The label of each path of the table of changes."""
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror}). Name what the page saved.") from None
    plain = {
        "path_column": None,
        "label_column": None,
        "split_column": None,
        "group": "",
    }  # the source's, not its
    table = read_table(str(path), path.name, contents, run.recipe.data.model_copy(update=plain))
    _say_unread(path, table)
    rows = {(name, label) for name, label, *_ in rows_of(table) if label}
    said = dict(rows)
    if twice := sorted(name for name, label in rows if said[name] != label):
        raise InputError(
            f"{path}: its rows give different labels to {plural(len(set(twice)), 'path')}, for instance "
            f"{printable(twice[0])}. Leave one row for each."
        )
    known = {name for name, _ in _present(splits)}
    strange = [name for name in said if name not in known]
    if strange:
        raise InputError(
            f"{path}: {plural(len(strange), 'path')} of no image of {run.path}, for instance "
            f"{printable(strange[0])}. Write them as {SUSPECTS} has them, "
            f"for instance {printable(min(known))}, or leave those rows out."
        )
    unknown = sorted({label for label in said.values() if label not in splits.class_names})
    if unknown:
        raise InputError(
            f"{path}: no class is called {listed([printable(name) for name in unknown])}; the classes are "
            f"{listed(splits.class_names)}. A picture of none of them is best left out of the folder."
        )
    if not splits.folds and (tested := [name for name in splits.test.paths if name in said]):
        raise InputError(
            f"{path}: it changes {plural(len(tested), 'test label')}, for instance of {printable(tested[0])}; then "
            "runs before and after cannot be compared on the same test. Leave those rows out."
        )
    return said


def _say_unread(path: Path, table: LabelTable) -> None:
    """Name the columns of a table of changes that hold no paths and no labels, but for those of the suspects."""
    unread = [name for name in table.columns if name not in {*table.used.values(), *COLUMNS}]
    if unread:
        said = listed([printable(name) for name in unread])
        make_console(stderr=True, markup=False).print(
            f"note: of {path}, only the columns {table.used['path']!r} and {table.used['label']!r} are read, "
            f"not {said}"
        )


def _labels(run: Run, splits: Splits, said: dict[str, str]) -> Iterator[list[str]]:
    """Rows of path, label, the split where the run has fixed ones, and the group where a table named it."""
    grouped = len(splits.test.groups) > 0 and splits.source.labels is not None
    group = run.recipe.data.group or "group"
    yield ["path", "label", *([] if splits.folds else ["split"]), *([group] if grouped else [])]
    for split in (splits.test,) if splits.folds else splits:
        groups = split.groups.tolist() if grouped else np.full(len(split), -1).tolist()
        for path, label, number in zip(split.paths, split.labels.tolist(), groups, strict=True):
            row = [path, said.get(path, splits.class_names[label])]
            row += [] if splits.folds else [split.name]
            yield row + ([f"g{number}" if number >= 0 else ""] if grouped else [])

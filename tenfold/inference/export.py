"""A run made a folder that works without tenfold: the model in several formats, proven equal, with all that is known.

Everything is written and proven in a folder beside the wanted one, which takes its place only when all is well.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold import __version__
from tenfold.core.devices import choose_device
from tenfold.core.errors import InputError
from tenfold.core.files import explained_write, put_folder, whole_folder, write_json, write_text
from tenfold.core.notebook import table_html
from tenfold.core.numbers import interval, percent
from tenfold.data import Splits
from tenfold.inference import certificate
from tenfold.inference.card import model_card
from tenfold.inference.contract import read_contract
from tenfold.inference.formats import FORMATS, Format, Traced, chosen_formats
from tenfold.inference.hub import CERTIFICATE, push_folder
from tenfold.inference.opening import open_model, weights_hash
from tenfold.inference.quantize import FILE as INT8
from tenfold.inference.quantize import make_int8
from tenfold.runs.environment import describe_environment
from tenfold.runs.folder import Run, load_run

if TYPE_CHECKING:
    from rich.table import Table
    from torch import nn

    from tenfold.models.own import Make, OwnModel

# A run's export, where no other folder is named.
FOLDER = "export"
QUANTIZED = ("int8",)
_ABOUT = {
    "predict.py": "names what pictures show, with onnxruntime, pillow and numpy alone",
    Run.contract.name: "how a file becomes pixels, the class names, the temperature and the thresholds",
    CERTIFICATE: "the proof that every format answers as the run did, and each file's SHA-256",
}


@dataclass(frozen=True)
class Export:
    """An exported folder and its certificate."""

    path: Path
    certificate: dict[str, Any]

    def __rich__(self) -> "Table":
        from rich.table import Table

        table = Table(
            "format", "files", "MiB", "same class", "largest difference", "images/s", box=None, pad_edge=False
        )
        for row in self.rows():
            size, difference = f"{row['bytes'] / 2**20:,.2f}", f"{row['largest_difference']:.1e}"
            rate = f"{row['images_per_second']:,.0f}"
            table.add_row(row["format"], row["files"], size, row["same_class"], difference, rate)
        return table

    def _repr_html_(self) -> str:
        return table_html(self.rows())

    def remarks(self) -> list[str]:
        """What was compared, near ties and the cost of int8, and where the folder is: lines to read."""
        proof = self.certificate
        lines = [
            f"compared on {proof['images']}, at most {proof['tolerance']['probability']:g} apart allowed"
        ]
        for name, found in proof["formats"].items():
            if ties := found["near_ties"]:
                lines.append(
                    f"{name}: {len(ties)} of them got another class, whose saved probability was at most "
                    f"{max(tie['gap'] for tie in ties):.1e} lower: see near_ties in {CERTIFICATE}"
                )
        if cost := proof.get("int8"):
            before, after = (
                f"{percent(found['accuracy'], 2)} ({interval(found['accuracy_ci95'], 2)}%)"
                for found in (cost["before"], cost["after"])
            )
            images = cost["after"]["images"]
            lines.append(
                f"int8: accuracy {after} on {images:,} validation images, before {before}; 95% intervals"
            )
        return [*lines, f"exported to {self.path}"]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each format: files, size (bytes), images with the saved class, largest difference, images/s."""
        files = self.certificate["files"]
        return [
            {
                "format": name,
                "files": ", ".join(FORMATS[name].files),
                "bytes": sum(files[file]["bytes"] for file in FORMATS[name].files),
                "same_class": f"{found['same_class']:,} of {found['images']:,}",
                "largest_difference": found["largest_difference"],
                "images_per_second": found["images_per_second"],
            }
            for name, found in self.certificate["formats"].items()
        ]


def export(
    run: str | Path | Run,
    *,
    format: str | Iterable[str] = ("onnx",),
    quantize: str | None = None,
    max_loss: float = 0.01,
    out: str | Path | None = None,
    overwrite: bool = False,
    license: str | None = None,
    model: "nn.Module | Make | OwnModel | None" = None,
) -> Export:
    """Export a finished run to the folder `out` (default: `RUN/export`), and prove that it answers as the run did.

    `format`: of "onnx", "torch" and "openvino"; ONNX is always among them. `quantize="int8"` adds `model-int8.onnx`,
    refused where it loses more than `max_loss` of the accuracy on validation. `license`: one of the hub's names, such
    as "apache-2.0", for the model card. `model`: a module of your own, as in `load_run`. Raises InputError for what
    cannot be used (the run's images are needed), and TenfoldError where a format cannot be written or answers
    otherwise; then nothing is left behind.

        exported = tenfold.export(run, format="torch")
        exported.path, exported.certificate["formats"]["onnx"]["largest_difference"]
    """
    run = load_run(run, model)
    formats = chosen_formats((format,) if isinstance(format, str) else tuple(format))
    _check(quantize, max_loss, license)
    path = run.path / FOLDER if out is None else Path(out)
    _check_place(path, overwrite)
    _ = run.metrics  # before anything is computed: InputError where the run was never evaluated
    traced = Traced(run.model(), open_model(run.path).contract)
    splits = run.splits()
    with _beside(path) as folder:
        proof = _write(run, traced, formats, splits, folder, max_loss if quantize else None)
        files = _described(formats, quantize)
        write_text(folder / "README.md", model_card(run, traced.contract, proof, files, license))
        proof |= {"files": certificate.files_of(folder)}
        write_json(folder / CERTIFICATE, proof)
    return Export(path, proof)


def push(run: str | Path | Run, repository: str, *, private: bool = False) -> str:
    """Upload an exported folder, or a run's at `RUN/export`, to the Hugging Face hub; give its address there.

    `repository` is `OWNER/NAME`, made where there is none (`private`: for you alone). Raises InputError where there
    is no export yet or the run's weights have changed since, and TenfoldError where the hub refuses.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    return push_folder(path if is_export(path) else _exported(load_run(path)), repository, private=private)


def _exported(run: Run) -> Path:
    """The folder that `export` made of a run, and that is still of its weights."""
    path = run.path / FOLDER
    if not is_export(path):
        raise InputError(f"{path}: there is no exported folder. Make it with: tenfold export {run.path}")
    if read_contract(path).weights != weights_hash(run.path):
        raise InputError(
            f"{path}: was exported before the run's weights changed. Make it anew with: "
            f"tenfold export {run.path} --overwrite"
        )
    return path


def is_export(folder: Path) -> bool:
    """Whether a folder was made by `export`."""
    return (folder / CERTIFICATE).is_file() and (folder / "model.onnx").is_file()


def _write(
    run: Run,
    traced: Traced,
    formats: dict[str, Format],
    splits: Splits,
    folder: Path,
    max_loss: float | None,
) -> dict[str, Any]:
    """Write all but the card into `folder`; what the certificate says, files apart."""
    contract = traced.contract
    contract.write(folder)
    shutil.copyfile(Path(__file__).with_name("standalone.py"), folder / "predict.py")
    # What a cross-validation says of its test images, its folds' models said.
    sample = certificate.sample_of(run, splits.validation if splits.folds else splits.test)
    tolerance = certificate.tolerance_of(run, traced.classifier.network.frozen is not None)
    found = {}
    for name, form in formats.items():
        form.write(traced, folder)
        finding = certificate.certify(
            name, form.open(folder), sample, contract.class_names, contract.temperature, tolerance
        )
        found[name] = asdict(finding)
    proof = {
        "tenfold": __version__,
        "weights": contract.weights,
        "images": sample.words,
        "tolerance": asdict(tolerance),
        "formats": found,
        "machine": _machine(),
    }
    if max_loss is not None:
        proof["int8"] = make_int8(folder, traced.classifier, splits, max_loss)
    return proof


def _machine() -> dict[str, Any]:
    """What the speeds were measured on."""
    known = describe_environment(choose_device("cpu"), None)
    return {key: known[key] for key in ("processor", "threads", "versions")} | {"batch": certificate.BATCH}


def _check(quantize: str | None, max_loss: float, license: str | None) -> None:
    if quantize is not None and quantize not in QUANTIZED:
        raise InputError(f"--quantize {quantize}: expected {', '.join(QUANTIZED)}.")
    if not 0 <= max_loss <= 1:
        raise InputError(
            f"--max-loss {max_loss:g}: expected a share of the images between 0 and 1, such as 0.01."
        )
    if license is not None and not license.strip():
        raise InputError("--license: is empty. Give an identifier such as apache-2.0, or leave it out.")


def _check_place(path: Path, overwrite: bool) -> None:
    """Raise InputError where `path` is taken by something that is not to be replaced."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir() or not is_export(path):
        raise InputError(f"{path}: exists and is not an exported folder. Choose another with --out.")
    if not overwrite:
        raise InputError(
            f"{path}: exists already. Give --overwrite to replace it, or choose another folder with --out."
        )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `path` when the block ends well, and else is removed."""
    with explained_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(path) as folder:
            yield folder
            put_folder(folder, path)


def _described(formats: dict[str, Format], quantized: str | None) -> dict[str, str]:
    """What each file of the folder is, for the card."""
    files = {" and ".join(form.files): f"for {form.about}" for form in formats.values()}
    if quantized:
        files[INT8] = "the same in integers of 8 bits, for ONNX Runtime"
    return files | _ABOUT

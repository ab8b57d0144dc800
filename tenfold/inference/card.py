"""The model card: what a stranger must know before using an exported model, in the form that the hub reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold import __version__
from tenfold.core.numbers import interval, percent
from tenfold.inference.contract import Contract
from tenfold.inference.formats import ACCURACY
from tenfold.recipe.components import Choice
from tenfold.runs.folder import Run

# The hub's word for a licence that it does not know, and what the card says where none was stated.
_OTHER, _UNSTATED = "other", "not-stated"
# As many of the worst classes are listed.
_WORST = 5


def model_card(
    run: Run, contract: Contract, proof: Mapping[str, Any], files: Mapping[str, str], licence: str | None
) -> str:
    """README.md of an export: a YAML header for the hub, then the page.

    `proof` is the certificate; `files` says what each file is; `licence` is one of the hub's identifiers.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
        autoescape=False,  # of HTML; `md` escapes what users named
    )
    environment.filters |= _FILTERS
    page = environment.get_template("card.md.jinja").render(_values(run, contract, proof, files))
    return f"---\n{_header(run, licence)}\n---\n\n{page}"


def _values(
    run: Run, contract: Contract, proof: Mapping[str, Any], files: Mapping[str, str]
) -> dict[str, Any]:
    channels, height, width = contract.image
    metrics, recipe = run.metrics, run.recipe
    images = {name: described["images"] for name, described in run.data["splits"].items()}
    return {
        "name": run.name,
        "summary": recipe.about.summary or f"An image classifier of the kind {recipe.model.name}.",
        "test": metrics["test"],
        "validation": metrics["validation"],
        "training": metrics["training"],
        "files": files,
        "channels": channels,
        "height": height,
        "width": width,
        "names": contract.class_names,
        "counts": ", ".join(f"{count:,} {name}" for name, count in images.items()) + " images",
        "worst": _worst(metrics["test"]["per_class"]),
        "unlike": _unlike(contract),
        "unsure": _unsure(contract),
        "calibration": _calibration(contract),
        "proof": {"int8": None, **proof},
        "recipe": recipe.model.name,
        "weights": _pretrained(recipe.model),
        "version": __version__,
    }


def _header(run: Run, licence: str | None) -> str:
    """The YAML header, with the metrics in the hub's model-index."""
    from huggingface_hub import EvalResult, ModelCardData

    test = run.metrics["test"]
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="image-folder",
            dataset_name=_dataset(run),
            dataset_split="test",
            metric_type=kind,
            metric_name=f"{words} (95% interval {test[f'{key}_ci95'][0]:.4f} to {test[f'{key}_ci95'][1]:.4f})",
            metric_value=round(test[key], 6),
        )
        for kind, key, words in (("accuracy", "accuracy", "Accuracy"), ("f1", "f1_macro", "Macro F1"))
    ]
    data = ModelCardData(
        model_name=run.name,
        eval_results=results,
        pipeline_tag="image-classification",
        library_name="onnx",
        tags=["image-classification", "onnx", "tenfold"],
        metrics=["accuracy", "f1"],
        license=licence or _OTHER,
        license_name=None if licence else _UNSTATED,
    )
    return data.to_yaml()


def _dataset(run: Run) -> str:
    """The source's own name, without the folders above it, which are nobody's business."""
    source = run.data["source"]
    named = source["data"] or next(iter(source["train"] or source["test"]), "images")
    return Path(named).name or "images"


def _worst(per_class: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    tested = [{"name": name, **row} for name, row in per_class.items() if row["support"]]
    tested.sort(key=lambda row: (row["recall"], row["name"]))
    return tested[:_WORST] if len(tested) > 2 else tested


def _unlike(contract: Contract) -> str:
    if contract.familiarity is None:
        return "Nothing was measured that could tell."
    return (
        "`inference.json` holds what tells pictures unlike the training images by their logits and pixels, as "
        f"`tenfold predict` does; {contract.familiarity.false_alarms:.1%} of the validation images were called so."
    )


def _unsure(contract: Contract) -> str:
    threshold = contract.threshold(ACCURACY)
    if contract.calibration is None:
        return "Without a calibration, no answer is called unsure."
    if threshold == float("inf"):
        return (
            f"No answer is sure: on validation, no probability reaches {ACCURACY:.0%} accuracy for certain."
        )
    return (
        f"Answers below a probability of {threshold:.3f} are called unsure; of those above, at least {ACCURACY:.0%} "
        "are right on validation."
    )


def _calibration(contract: Contract) -> str:
    if contract.calibration is None:
        return "The probabilities are the network's own; whether they are calibrated was not measured."
    return (
        f"The probabilities are those after a temperature of {contract.temperature:.3f} "
        f"({contract.calibration.note})."
    )


def _pretrained(model: Choice) -> str:
    """What a licence must mind: weights that were not learned here."""
    backbone, weights = model.options.get("backbone"), model.options.get("weights")
    if backbone is None or weights == "none":
        return "It started from random weights."
    return f"It started from pretrained weights of {backbone}; their licence and their data's apply as well."


def _md(text: str) -> str:
    """A name as it is, in a table's cell too."""
    return "".join(f"\\{mark}" if mark in r"\`*_{}[]<>#|~$" else mark for mark in " ".join(text.split()))


_FILTERS: dict[str, Any] = {
    "md": _md,
    "percent": lambda share: percent(share, 2),
    "share": lambda share: "none" if share is None else percent(share),
    "interval": lambda ends: f"{interval(ends, 2)}%",
    "thousands": lambda count: f"{count:,}",
    "whole": lambda number: f"{number:,.0f}",
}

"""What the JSON files of a run hold: checked when they are read, so that a damaged file is named and never used.

Keys that are not listed here may be there too: later versions add some.
"""

from typing import Any, NotRequired

from typing_extensions import TypedDict

Interval = tuple[float, float]


class SourceShape(TypedDict):
    """Where the images came from."""

    data: str | None
    train: list[str]
    validation: list[str]
    test: list[str]
    # The folder that relative paths were meant from.
    base: NotRequired[str]


class SplitShape(TypedDict):
    """A split of data.json."""

    images: int
    hash: str
    classes: dict[str, int]


class SplitsShape(TypedDict):
    """The three splits of data.json."""

    train: SplitShape
    validation: SplitShape
    test: SplitShape


class BadFileShape(TypedDict):
    """An image file that could not be read."""

    path: str
    reason: str


class DecodingShape(TypedDict):
    """How images were made equal in size, channels and range: see `tenfold.data.decode.Target`."""

    height: int
    width: int
    channels: int
    fit: str
    whole_range: tuple[float, float] | None
    real_range: tuple[float, float] | None


class LeftOutShape(TypedDict):
    """Files of a source that gave no images."""

    ending: str
    reason: str
    files: int
    example: str


class DataShape(TypedDict):
    """data.json; `image_shape` is (H, W, C)."""

    source: SourceShape
    fingerprint: str
    class_names: list[str]
    image_shape: tuple[int, int, int]
    splits: SplitsShape
    bad_files: list[BadFileShape]
    # Since 0.2.
    layout: NotRequired[str]
    together: NotRequired[str | None]
    decoding: NotRequired[DecodingShape]
    median_cropped: NotRequired[float]
    left_out: NotRequired[list[LeftOutShape]]
    shared_groups: NotRequired[dict[str, list[int]]]
    notices: NotRequired[list[str]]
    # Positions of test images that are also training or validation images; that are near copies of such images.
    copies: NotRequired[dict[str, list[int]]]
    near_copies: NotRequired[dict[str, list[int]]]
    # Rows of the source that are copies of one picture.
    clusters: NotRequired[list[list[int]]]
    # How many folds a cross-validation has.
    folds: NotRequired[int]


class PreprocessingShape(TypedDict):
    """How pixels become the network's input, per channel or for all."""

    mean: list[float]
    deviation: list[float]


class ArchitectureShape(TypedDict):
    """A model's name; its options stand beside it."""

    name: str


class ModelShape(TypedDict):
    """model.json; `image_shape` is (C, H, W)."""

    architecture: ArchitectureShape
    image_shape: tuple[int, int, int]
    preprocessing: PreprocessingShape
    class_names: list[str]


class ReadingShape(TypedDict):
    """The rules by which a file becomes pixels, of which only the version is looked at first."""

    version: int


class ContractShape(TypedDict):
    """inference.json: its versions, which say whether the rest can be understood (`tenfold.inference.contract`)."""

    version: int
    reading: ReadingShape


class ClassShape(TypedDict):
    """A class in metrics.json."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    roc_auc: float | None


class MatrixShape(TypedDict):
    """A confusion matrix of many classes: (true class, predicted class, count), where the count is not 0."""

    classes: int
    cells: list[tuple[int, int, int]]


class MeasuredShape(TypedDict):
    """A split in metrics.json."""

    n: int
    loss: float
    accuracy: float
    accuracy_ci95: Interval
    f1_macro: float
    f1_macro_ci95: Interval
    roc_auc_macro: float | None
    per_class: dict[str, ClassShape]
    confusion_matrix: list[list[int]] | MatrixShape
    expected_calibration_error: float
    groups: NotRequired[int]  # how many groups of images the intervals are of, where the data name some


class TrainingShape(TypedDict):
    """What training took, in metrics.json."""

    seconds: float
    epochs: int
    best_epoch: int
    strength: NotRequired[float]  # of regularisation, where the epochs are a path of such
    stop_reason: str
    failed: NotRequired[bool]
    images_per_second: float
    parameters_trainable: int
    parameters_total: int
    device: str


class FoldShape(TypedDict):
    """A fold of a cross-validation, in metrics.json."""

    fold: int
    n: int
    accuracy: float
    validation_accuracy: float
    best_epoch: int
    epochs: int
    seconds: float


class MetricsShape(TypedDict):
    """metrics.json."""

    test: MeasuredShape
    validation: MeasuredShape
    training: TrainingShape
    folds: NotRequired[list[FoldShape]]


class EvaluationShape(TypedDict):
    """metrics.json of an evaluation on another source."""

    test: MeasuredShape


class LayerShape(TypedDict):
    """A layer of layers.json."""

    name: str
    kind: str
    output_shape: list[int]
    parameters: int


class RobustnessShape(TypedDict):
    """robustness.json: accuracies by corruption, at rising strengths."""

    images: int
    clean: float
    accuracy: dict[str, list[float]]


def matrix_fault(metrics: Any) -> str | None:
    """What is wrong with the confusion matrices of metrics.json."""
    for split in ("test", "validation"):
        measured = metrics.get(split)
        if measured is None:
            continue
        matrix, classes = measured["confusion_matrix"], len(measured["per_class"])
        if isinstance(matrix, dict):
            places = {place for row, column, _ in matrix["cells"] for place in (row, column)}
            fits = matrix["classes"] == classes and all(0 <= place < classes for place in places)
            counted = sum(count for _, _, count in matrix["cells"])
        else:
            fits = len(matrix) == classes and all(len(row) == classes for row in matrix)
            counted = sum(map(sum, matrix))
        if not fits:
            return f"{split}.confusion_matrix: expected counts of {classes} classes by {classes}"
        if counted != measured["n"]:
            return f"{split}.confusion_matrix: its counts do not sum up to n={measured['n']}"
    return None


def classes_fault(described: Any) -> str | None:
    """What is wrong with the class names of data.json or model.json."""
    names = described["class_names"]
    if not names or len(set(names)) < len(names):
        return "class_names: expected one name for each class"
    for split, entry in described.get("splits", {}).items():
        if list(entry["classes"]) != names:
            return f"splits.{split}.classes: expected a count for each of class_names, in their order"
    return None

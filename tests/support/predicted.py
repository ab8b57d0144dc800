"""A run on class folders whose names and files are of every kind, to be asked for answers."""

from pathlib import Path

from images import save, scene
from odd_pictures import odd_pictures

import tenfold
from tenfold.runs.folder import Run

CLASSES = ("2", "10", "Ärger", "日本")
# The largest difference of a probability between ONNX Runtime and PyTorch, and between one picture and a batch.
ROUNDING = 2e-6
QUICK = {"fit.epochs": 2, "model.filters": [4], "model.dense": 8, "augment": [], "data.image_size": 12}


def train_on_folders(root: Path) -> Run:
    """A run on the class folders of `root`, and a test folder there with files of every kind."""
    for split in ("train", "validation"):
        for number, name in enumerate(CLASSES):
            for i in range(12):
                save(
                    root / split / name / f"{i}.png", scene(100 * number + i + (split == "train") * 7000, 12)
                )
    for number, name in enumerate(CLASSES):
        odd_pictures(root / "test" / name, seed=50 * number)
    (root / "test" / CLASSES[0] / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    return tenfold.train(
        "digits",
        train=root / "train",
        validation=root / "validation",
        test=root / "test",
        out=root / "runs",
        name="run",
        overrides={**QUICK, "data.channels": "rgb", "data.bad_files_limit": 0.5},
        progress=False,
        device="cpu",
    )

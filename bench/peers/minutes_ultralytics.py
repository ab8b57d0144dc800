"""Ultralytics' classifier from scratch for the minutes given; see bench/peers.py.

    PYTHON bench/peers/minutes_ultralytics.py --data FOLDER --until TIME --out PREDICTIONS.json

Needs ultralytics. Its weights are downloaded, not packaged, so that it learns from scratch here; its own `time` holds
it to the minutes.
"""

import time

from given_minutes import arguments, pictures, write
from PIL import Image
from ultralytics import YOLO

LARGEST, TESTING = 224, 0.15


def main() -> None:
    data, until, out = arguments()
    train, test = pictures(data / "train"), pictures(data / "test")
    side = max(32, min(LARGEST, *Image.open(train[0][0]).size) // 32 * 32)
    model = YOLO("yolo11n-cls.yaml")
    left = (1 - TESTING) * (until - time.time())
    model.train(
        data=str(data.resolve()), imgsz=side, epochs=100, time=left / 3600, pretrained=False, workers=0, batch=32,
        plots=False, verbose=False, seed=0, project=str(out.parent.resolve()), name="ultralytics", exist_ok=True,
    )  # fmt: skip
    best = YOLO(model.trainer.best if model.trainer.best.exists() else model.trainer.last)
    found = best.predict([str(path) for path, _ in test], imgsz=side, verbose=False, stream=True)
    said = [one.names[one.probs.top1] for one in found]
    write(out, test, said, f"yolo11n-cls from scratch, {side} px")


if __name__ == "__main__":
    main()

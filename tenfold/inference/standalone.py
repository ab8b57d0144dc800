"""What pictures show, as JSON lines: python predict.py PICTURE... Needs onnxruntime, pillow and numpy alone."""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps, features


def read(path: str, reading: dict, channels: int, height: int, width: int) -> np.ndarray:
    """(height, width, channels) uint8: upright, in 8 bits, over white, resized; all as `reading` says."""
    known = ["PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "ICO"]
    with Image.open(path, formats=[*known, *["AVIF"] * bool(features.check("avif"))]) as stored:
        stored.draft(None, (2 * width, 2 * height)) if stored.format == "JPEG" else stored.load()
        image = _rgb(ImageOps.exif_transpose(stored), reading)
    (wide, high), box, inside = image.size, None, (width, height)
    if reading["fit"] == "pad":
        inside = [max(1, round(side * min(width / wide, height / high))) for side in (wide, high)]
    elif reading["fit"] == "crop":
        w, h = (min(a * min(wide / width, high / height), b) for a, b in ((width, wide), (height, high)))
        box = ((wide - w) / 2, (high - h) / 2, (wide + w) / 2, (high + h) / 2)
    x, y = (width - inside[0]) // 2, (height - inside[1]) // 2
    image = image.resize(inside, Image.Resampling.BICUBIC, box).crop((-x, -y, width - x, height - y))
    return np.asarray(image if channels == 3 else image.convert("L")).reshape(height, width, channels)


def _rgb(image: Image.Image, reading: dict) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        known = reading["real_range" if values.dtype.kind == "f" else "whole_range"]
        low, high = known or (0, 65535 if values.dtype.kind != "f" else 1 if values.max() <= 1 else 255)
        if not (np.isfinite(values).all() if known else low <= values.min() <= values.max() <= high):
            raise ValueError(f"its values reach from {values.min():g} to {values.max():g}")
        values = np.clip(values, low, high).astype(np.float64 if low else values.dtype) - low
        return Image.fromarray(np.rint(values * (255 / (high - low))).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # pyright: ignore
    signal.signal(signal.SIGPIPE, signal.SIG_DFL) if sys.platform != "win32" else None  # for `| head`
    beside, status = Path(__file__).with_name, 0
    info = json.loads(beside("inference.json").read_text(encoding="utf-8"))
    model = onnxruntime.InferenceSession(beside("model.onnx"), providers=["CPUExecutionProvider"])
    least = float(model.get_modelmeta().custom_metadata_map["unsure_below"])
    for path in sys.argv[1:]:
        try:
            scores = model.run(None, {"images": read(path, info["reading"], *info["image"])[None]})[1]
            named = dict(zip(info["class_names"], np.asarray(scores)[0].tolist(), strict=True))
            best = max(named, key=named.__getitem__)
            answer = {"path": path, "predicted": best, "probability": named[best], "probabilities": named}
            print(json.dumps({**answer, "unsure": named[best] < least}, ensure_ascii=False))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            status = print(f"{path}: {error}", file=sys.stderr) or 1
    sys.exit(status)

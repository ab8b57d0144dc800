"""What pictures show, as JSON lines: python predict.py PICTURE... Needs onnxruntime, pillow and numpy alone."""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read(path: str, channels: int, height: int, width: int) -> np.ndarray:
    """(height, width, channels) uint8: upright, in 8 bits, over white, the centre resized."""
    image = Image.open(path, formats=("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF"))
    if image.format == "JPEG":
        image.draft(None, (2 * width, 2 * height))
    image.load()
    image = to_rgb(ImageOps.exif_transpose(image))
    scale = min(image.width / width, image.height / height)
    w, h = min(width * scale, image.width), min(height * scale, image.height)
    x, y = (image.width - w) / 2, (image.height - h) / 2
    image = image.resize((width, height), Image.Resampling.BICUBIC, box=(x, y, x + w, y + h))
    return np.asarray(image if channels == 3 else image.convert("L")).reshape(height, width, channels)


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in mode RGB, whatever its mode."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        top = 65535 if values.dtype.kind != "f" else 1 if values.max() <= 1 else 255
        if not (values.min() >= 0 and values.max() <= top):
            raise ValueError(f"its values reach from {values.min():g} to {values.max():g}")
        return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    if sys.platform != "win32":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `head` may end early
    folder, status = Path(__file__).resolve().parent, 0
    contract = json.loads((folder / "inference.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    unsure_below = float(session.get_modelmeta().custom_metadata_map["unsure_below"])
    for path in sys.argv[1:]:
        try:
            pixels = read(path, *contract["image"])
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            status = 1
            continue
        [[values]] = session.run(["probabilities"], {"images": pixels[None]})
        named = dict(zip(contract["class_names"], map(float, values), strict=True))
        best = max(named, key=named.__getitem__)
        answer = {"path": path, "predicted": best, "probability": named[best], "probabilities": named}
        print(json.dumps({**answer, "unsure": named[best] < unsure_below}, ensure_ascii=False))
    sys.exit(status)

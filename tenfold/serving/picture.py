"""Pixels as a picture that a page shows."""

import base64
import io

import numpy as np
from PIL import Image


def png_address(pixels: np.ndarray) -> str:
    """(H, W, C) uint8 as a PNG file in a `data:` address."""
    data = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"

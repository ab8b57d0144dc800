"""DICOM files, by way of pydicom: the first frame's stored values, rescaled as the file says."""

import io

import numpy as np
from PIL import Image

from tenfold.data.limits import LARGEST_PICTURE, BadPicture


def open_dicom(contents: bytes) -> Image.Image:
    """A DICOM file's first frame. Raises BadPicture where it has no pixels, or too many.

    8-bit values stay as they are; all others become mode "I" or, where the rescale slope or intercept is no whole
    number, "F". MONOCHROME1 (low is white) is inverted. Windows are not applied: which one shows the finding is
    not for a program to guess.
    """
    import pydicom
    from pydicom.pixels.processing import apply_rescale
    from pydicom.pixels.utils import pixel_array

    dataset = pydicom.dcmread(io.BytesIO(contents))
    if "PixelData" not in dataset and "FloatPixelData" not in dataset:
        raise BadPicture("a DICOM file without pixels")
    if dataset.Rows * dataset.Columns > LARGEST_PICTURE:
        raise BadPicture(f"it has {dataset.Columns} x {dataset.Rows} pixels, too many to decode")
    frames = int(dataset.get("NumberOfFrames") or 1)
    values = pixel_array(io.BytesIO(contents), index=0)
    if values.ndim == 2:
        values = apply_rescale(values, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = _inverted(values, int(dataset.BitsStored))
    image = Image.fromarray(_plain(values))
    image.info["frames"] = frames
    return image


def _inverted(values: np.ndarray, bits: int) -> np.ndarray:
    return (2**bits - 1) - values if values.dtype.kind == "u" else -values


def _plain(values: np.ndarray) -> np.ndarray:
    """Values in a type that Pillow has: uint8, int32 or float32."""
    if values.dtype == np.uint8:
        return values
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    return values.astype(np.int32 if whole else np.float32)

"""DICOM files keep their levels, whichever end of them is white."""

import numpy as np
import pytest
from corpus import (
    write_dicom,
)
from images import load, random_pixels

from tenfold.data.decode import decode


def test_dicom_8_bits_and_inverted(tmp_path):
    values = random_pixels(1)[..., 0]
    plain = write_dicom(tmp_path / "plain.dcm", values)
    inverted = write_dicom(tmp_path / "inverted.dcm", values, PhotometricInterpretation="MONOCHROME1")
    assert (decode(str(plain), None)[0][..., 0] == values).all()
    assert (decode(str(inverted), None)[0][..., 0] == 255 - values).all()


@pytest.mark.usefixtures("own_cache")
def test_a_source_of_12_bit_dicom_keeps_its_levels(tmp_path):
    for number, name in enumerate(("ill", "well")):
        for i in range(12):
            values = np.random.default_rng(100 * number + i).integers(0, 4096, (8, 8), np.uint16)
            write_dicom(tmp_path / name / f"{i}.dcm", values, BitsStored=12, HighBit=11)
    splits = load(tmp_path)
    assert splits.reading is not None
    assert splits.reading.target.whole_range == (0, 4095)
    assert len(np.unique(splits.train.images(slice(None)))) > 200

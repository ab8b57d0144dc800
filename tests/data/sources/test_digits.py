"""The handwritten digits of scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits

from tenfold.data.sources.digits import digits_stamp, read_digits


def test_the_digits_are_scikit_learns_on_the_whole_range():
    (part,) = read_digits()
    images = np.stack([image for _, image in part.encoded()])
    assert images.shape == (1797, 8, 8, 1)
    assert (images.dtype, images.min(), images.max()) == (np.uint8, 0, 255)
    np.testing.assert_allclose(images[..., 0] / 255 * 16, load_digits().images, atol=0.04)
    assert list(part.classes[:3]) == ["0", "1", "2"]
    assert part.paths[-1] == "digits#1796"
    assert digits_stamp().startswith("scikit-learn ")

"""A frozen extractor by ONNX Runtime gives PyTorch's features, or is refused."""

import numpy as np
import pytest
import torch
from frozen import CPU, Slow, small_model
from networks import transfer_network

from tenfold.core.errors import TenfoldError
from tenfold.inference import engines
from tenfold.inference.engines import Engine


def test_onnx_gives_pytorchs_features_also_for_a_batch_that_is_not_full(few_digits):
    model = small_model(few_digits, stages=2)
    engine = Engine(model, (1, 8, 8), CPU)
    pixels = few_digits.train.images(slice(0, engines.CPU_BATCH + 3))
    found = engine(pixels)
    assert engine.name == "onnxruntime"
    assert engine.parity is not None
    assert 0 <= engine.parity < 1e-4
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, Slow(model)(pixels), rtol=2e-3, atol=1e-3)


@pytest.mark.slow
def test_an_export_is_kept_and_made_anew_where_it_is_damaged_or_of_another_network(few_digits, own_cache):
    images = few_digits.train.images(slice(0, 5))

    def features() -> tuple[bool, np.ndarray]:
        engine = Engine(small_model(few_digits), (1, 8, 8), CPU)
        found = engine(images)
        return engine._kept, found

    first, second = features(), features()
    assert (first[0], second[0]) == (False, True)
    np.testing.assert_array_equal(first[1], second[1])
    (path,) = (own_cache / "graphs").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"damaged !")
    assert not features()[0]
    assert path.read_bytes()[:16] == whole[:16]
    # Another network's export under this one's name: proven wrong on the first images, and replaced.
    other = small_model(few_digits)
    with torch.no_grad():
        for parameter in transfer_network(other).extractor.parameters():
            parameter.mul_(1.5)
    Engine(other, (1, 8, 8), CPU)
    (elsewhere,) = (one for one in path.parent.iterdir() if one != path)
    elsewhere.replace(path)
    kept, found = features()
    assert not kept
    np.testing.assert_array_equal(found, first[1])


@pytest.mark.slow
def test_features_that_differ_from_pytorchs_are_refused(few_digits, own_cache):
    engine = Engine(small_model(few_digits), (1, 8, 8), CPU)
    with torch.no_grad():  # after the export, so that the exported network is now another one
        next(transfer_network(small_model(few_digits)).parameters()).mul_(2)
        for parameter in engine.module.parameters():
            parameter.mul_(1.5)
    with pytest.raises(TenfoldError, match="onnxruntime gives other features than PyTorch: they differ by"):
        engine(few_digits.train.images(slice(0, 4)))

"""PyTorch as who answers: the model's own logits, whatever the threads."""

import numpy as np
import torch

from tenfold.inference.torch_predictor import TorchPredictor
from tenfold.models import build_model
from tenfold.recipe.components import Choice

CPU = torch.device("cpu")


def test_answers_are_the_models_own():
    model = build_model(Choice(name="model-s", filters=(2,), dense=3), (3, 8, 8), 4)
    predictor = TorchPredictor(model.train(), CPU)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    logits = predictor.logits(pixels)
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(logits, expected.numpy())
    np.testing.assert_allclose(predictor.probabilities(logits).sum(1), 1, atol=1e-6)
    assert (predictor.name, predictor.batch >= 1) == ("PyTorch", True)


def test_many_batches_have_a_thread_each_and_the_threads_come_back():
    predictor = TorchPredictor(build_model(Choice(name="single-conv", filters=1, dense=1), (1, 4, 4), 2), CPU)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with predictor.side_by_side() as calls:
            assert (calls, torch.get_num_threads()) == (3, 1)
        assert torch.get_num_threads() == 3
        torch.set_num_threads(1)
        with predictor.side_by_side() as calls:
            assert calls == 1
    finally:
        torch.set_num_threads(threads)


def test_exactly_as_evaluated_is_one_batch_after_the_other_with_all_threads():
    model = build_model(Choice(name="model-s", filters=(8,), dense=128), (3, 32, 32), 4)
    predictor = TorchPredictor(model, CPU, exactly=True)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), np.uint8)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with torch.inference_mode():
            expected = model.eval()(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
        with predictor.side_by_side() as calls:
            assert (calls, torch.get_num_threads()) == (1, 2)
            np.testing.assert_array_equal(predictor.logits(pixels), expected)
    finally:
        torch.set_num_threads(threads)

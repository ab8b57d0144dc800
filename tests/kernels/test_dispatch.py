"""When the kernels suit: plain images on a CPU, whose channels fill vectors."""

import pytest
import torch

from tenfold.kernels.dispatch import in_bfloat16, last, suiting, traced


def images(channels: int = 16, side: int = 8, dtype=torch.float32) -> torch.Tensor:
    return torch.zeros(2, channels, side, side, dtype=dtype)


@pytest.mark.parametrize(
    "given",
    [
        images(dtype=torch.float64),
        images(dtype=torch.uint8),
        images()[:0],
        images().to("meta"),
        torch.nn.Parameter(images()),
    ],
)
def test_other_images_are_left_to_pytorch(given):
    assert suiting(given, 16) is None


def test_images_that_are_too_small_and_channels_that_fill_no_vector_are_left_to_pytorch():
    assert suiting(images(side=2), 16, smallest=3) is None
    assert suiting(images(channels=3), 3) is None


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated")
def test_a_trace_finds_pytorchs_operators():
    seen = []

    def look(given: torch.Tensor) -> torch.Tensor:
        seen.append((traced(), suiting(given, 16)))
        return given

    torch.jit.trace(look, images(), check_trace=False)
    assert seen == [(True, None)]
    assert not traced()


def test_autocast_says_the_precision():
    assert not in_bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert in_bfloat16()
    with torch.autocast("cpu", torch.float16):
        assert not in_bfloat16()


def test_the_kernels_memory_has_the_channels_last():
    found = last(images())
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert last(found) is found

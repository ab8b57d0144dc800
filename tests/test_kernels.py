"""tenfold's own kernels equal PyTorch's in float64 to rounding, and give way to it wherever they do not suit."""

import copy
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tenfold import kernels
from tenfold.errors import TenfoldError
from tenfold.kernels import Stem, conv3x3, conv3x3_behind, dispatch, max_pool, rectified_norm
from tenfold.kernels import convolution as convolutions
from tenfold.kernels.library import FOLDER, SWITCH, Library, library

needs_kernels = pytest.mark.skipif(
    not library().variants, reason=f"the kernels cannot be built here: {kernels.describe()}"
)
needs_halves = pytest.mark.skipif(
    not library().fitting(half=True), reason="this processor has no products of bfloat16 in vectors"
)
# Of the narrowest vectors; twice as many channels fill the wide ones of a processor that has them.
LANES = 8
# Relative to the size of the whole result; PyTorch's float32 is off by 4e-7, its gradient over 64,000 pixels by 5e-6.
NEAR, NEAR_IN_GRADIENTS = 5e-6, 4e-5
# With products of bfloat16, whose rounding F(4x4, 3x3) makes a few times larger: 0.7 and 1.3 % were seen.
NEAR_IN_HALVES = 2.5e-2


def off(result, expected):
    return ((result - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def features(count, channels, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, height, width, generator=generator)


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(dispatch, "library", lambda: Library({}, "absent"))


# Convolution -------------------------------------------------------------------------------------------------


def convolution_and_gradients(function, images, weight, bias, gradients):
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (images, weight, bias)]
    result = function(*leaves)
    return [result.detach(), *torch.autograd.grad(result, leaves, gradients.to(result.dtype))]


def plain(images, weight, bias, pool=False):
    result = F.conv2d(images, weight, bias, padding=1)
    return F.max_pool2d(result, 2) if pool else result


@needs_kernels
@given(
    count=st.integers(1, 9),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    height=st.integers(3, 19),
    width=st.integers(3, 19),
    channels_last=st.booleans(),
    pool=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_a_convolution_and_its_gradients_are_pytorchs(
    count, inputs, outputs, height, width, channels_last, pool, seed
):
    images = features(count, inputs * LANES, height, width, seed)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    weight = features(outputs * LANES, inputs * LANES, 3, 3, seed + 1)
    bias = features(1, outputs * LANES, 1, 1, seed + 2).flatten()
    assert dispatch.suiting(images, *weight.shape[:2])
    sides = (height // 2, width // 2) if pool else (height, width)
    gradients = features(count, outputs * LANES, *sides, seed + 3)
    found = convolution_and_gradients(partial(conv3x3, pool=pool), images, weight, bias, gradients)
    in_double = [tensor.double() for tensor in (images, weight, bias)]
    expected = convolution_and_gradients(partial(plain, pool=pool), *in_double, gradients.double())
    assert found[0].shape == expected[0].shape
    assert off(found[0], expected[0]) < NEAR
    for mine, theirs in zip(found[1:], expected[1:], strict=True):
        assert off(mine, theirs) < NEAR_IN_GRADIENTS


@needs_kernels
@needs_halves
@given(
    count=st.integers(1, 9),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    height=st.integers(3, 19),
    width=st.integers(3, 19),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_under_autocast_images_are_of_bfloat16_and_gradients_of_weights_of_float32(
    count, inputs, outputs, height, width, seed
):
    images = features(count, inputs * LANES, height, width, seed)
    weight = features(outputs * LANES, inputs * LANES, 3, 3, seed + 1)
    bias = features(1, outputs * LANES, 1, 1, seed + 2).flatten()
    gradients = features(count, outputs * LANES, height, width, seed + 3)
    exact = convolution_and_gradients(
        plain, *(tensor.double() for tensor in (images, weight, bias)), gradients.double()
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = convolution_and_gradients(conv3x3, images, weight, bias, gradients)
    for mine, theirs in zip(found, exact, strict=True):
        assert 1e-5 < off(mine, theirs) < NEAR_IN_HALVES
    assert [tensor.dtype for tensor in found] == [torch.bfloat16, *[torch.float32] * 3]


@needs_kernels
@needs_halves
def test_under_autocast_a_pooled_convolution_is_the_largest_of_four_pixels_of_one_that_is_not():
    images, weight = features(9, LANES, 10, 7).bfloat16(), features(3 * LANES, LANES, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        pooled, whole = (conv3x3(images, weight, pool=pool) for pool in (True, False))
    assert torch.equal(pooled, F.max_pool2d(whole, 2))
    assert pooled.dtype == torch.bfloat16


@needs_kernels
@pytest.mark.parametrize(("inputs", "outputs"), [(512, 16), (16, 512), (384, 384)])
def test_wide_convolutions_whose_kernels_leave_the_cache(inputs, outputs):
    images, weight = features(3, inputs, 6, 5), features(outputs, inputs, 3, 3, 1)
    gradients = features(3, outputs, 6, 5, 2)
    found = convolution_and_gradients(conv3x3, images, weight, torch.zeros(outputs), gradients)
    expected = convolution_and_gradients(
        plain,
        *(tensor.double() for tensor in (images, weight, torch.zeros(outputs), gradients)),
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert off(mine, theirs) < NEAR_IN_GRADIENTS


@needs_kernels
@given(
    count=st.integers(1, 5),
    made=st.integers(1, 4),
    outputs=st.integers(1, 4),
    sides=st.tuples(st.integers(8, 19), st.integers(8, 19)),
    channels=st.integers(1, 4),
    patch=st.integers(1, 4),
    stride=st.integers(1, 2),
    margin=st.integers(0, 3),
    pool=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_a_convolution_behind_a_stem_is_pytorchs(
    count, made, outputs, sides, channels, patch, stride, margin, pool, seed
):
    images = features(count, channels, *sides, seed)
    frozen = (
        features(made * LANES, channels, patch, patch, seed + 1),
        features(1, made * LANES, 1, 1, seed + 2),
    )
    stem = Stem(frozen[0], frozen[1].flatten(), stride, margin)
    weight = features(outputs * LANES, made * LANES, 3, 3, seed + 3).requires_grad_()
    in_double = weight.detach().double().requires_grad_()
    seen = Stem(stem.weight.double(), stem.bias.double(), stride, margin)(images.double())
    expected = plain(seen, in_double, None, pool)
    result = conv3x3_behind(stem, images, weight, pool)
    assert off(result, expected) < NEAR
    gradients = features(*expected.shape, seed + 4)
    (found,) = torch.autograd.grad(result, weight, gradients)
    (wanted,) = torch.autograd.grad(expected, in_double, gradients.double())
    assert off(found, wanted) < NEAR_IN_GRADIENTS


@needs_kernels
@needs_halves
def test_a_convolution_behind_a_stem_in_bfloat16_is_that_of_the_stems_images():
    images, weight = features(7, 3, 32, 32), features(2 * LANES, 3 * LANES, 3, 3).requires_grad_()
    stem = Stem(features(3 * LANES, 3, 2, 2), torch.ones(3 * LANES), margin=1)
    with torch.autocast("cpu", torch.bfloat16):
        result, expected = conv3x3_behind(stem, images, weight), conv3x3(stem(images), weight)
    assert off(result, expected) < 2 * NEAR_IN_HALVES
    assert result.dtype == torch.bfloat16


@needs_kernels
def test_images_that_learn_go_through_a_stem_by_pytorch():
    images, weight = features(2, 3, 9, 9).requires_grad_(), features(LANES, LANES, 3, 3)
    stem = Stem(features(LANES, 3, 2, 2), torch.zeros(LANES))
    conv3x3_behind(stem, images, weight).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@needs_kernels
def test_only_what_learns_gets_a_gradient():
    images, weight = features(2, LANES, 5, 5), features(LANES, LANES, 3, 3).requires_grad_()
    conv3x3(images, weight).sum().backward()
    expected = torch.autograd.grad(F.conv2d(images, weight, padding=1).sum(), weight)[0]
    assert off(weight.grad, expected) < NEAR
    images.requires_grad_()
    conv3x3(images, weight.detach()).sum().backward()
    assert images.grad is not None


@needs_kernels
def test_the_forward_pass_has_the_same_bits_with_any_number_of_threads():
    images, weight = features(30, 2 * LANES, 9, 9), features(LANES, 2 * LANES, 3, 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = conv3x3(images, weight)
        torch.set_num_threads(3)
        together = conv3x3(images, weight)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone, together)


@needs_kernels
def test_gradients_have_the_same_bits_twice():
    arguments = (features(30, LANES, 9, 9), features(LANES, LANES, 3, 3), torch.ones(LANES))
    first, second = (
        convolution_and_gradients(conv3x3, *arguments, features(30, LANES, 9, 9, 3)) for _ in range(2)
    )
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


UNSUITED = {
    "channels that fill no vector": (features(2, LANES + 1, 6, 6), features(LANES, LANES + 1, 3, 3), 1),
    "outputs that fill no vector": (features(2, LANES, 6, 6), features(LANES + 1, LANES, 3, 3), 1),
    "no padding": (features(2, LANES, 6, 6), features(LANES, LANES, 3, 3), 0),
    "double precision": (features(2, LANES, 6, 6).double(), features(LANES, LANES, 3, 3).double(), 1),
    "tiny images": (features(2, LANES, 2, 6), features(LANES, LANES, 3, 3), 1),
    "no images": (features(0, LANES, 6, 6), features(LANES, LANES, 3, 3), 1),
}


@pytest.mark.parametrize("case", UNSUITED)
def test_a_convolution_that_does_not_suit_is_pytorchs_bit_for_bit(case):
    images, weight, padding = UNSUITED[case]
    bias = torch.ones(len(weight), dtype=weight.dtype, requires_grad=True)
    with torch.no_grad():
        result = conv3x3(images, weight, bias, padding)
    assert torch.equal(result, F.conv2d(images, weight, bias, padding=padding))
    learned = conv3x3(images, weight, bias, padding)
    torch.testing.assert_close(learned, result)
    assert learned.requires_grad


def test_autocast_is_left_to_pytorch_where_products_of_bfloat16_are_missing(monkeypatch):
    variants = {key: functions for key, functions in library().variants.items() if not key.half}
    monkeypatch.setattr(dispatch, "library", lambda: Library(variants, "no halves"))
    images, weight = features(2, LANES, 6, 6), features(LANES, LANES, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv3x3(images, weight).dtype == torch.bfloat16


@needs_kernels
def test_memory_that_is_short_is_told(monkeypatch):
    monkeypatch.setattr(convolutions, "call", lambda *_, **__: 1)
    with pytest.raises(TenfoldError, match=r"no memory left .* \[2, 8, 6, 6\].*fit\.batch_size"):
        conv3x3(features(2, 8, 6, 6), features(8, 8, 3, 3))


# Norm --------------------------------------------------------------------------------------------------------


def norm_of(channels, seed=0):
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels, momentum=0.3, eps=1e-3)
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


@needs_kernels
@pytest.mark.parametrize("place", ["before", "after"])
@given(
    count=st.integers(1, 40),
    vectors=st.integers(1, 3),
    side=st.integers(2, 17),
    centre=st.sampled_from([0.0, -3.0, 30.0]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=25)
def test_a_rectified_norm_its_averages_and_gradients_are_pytorchs(place, count, vectors, side, centre, seed):
    images = (features(count, vectors * LANES, side, side, seed) + centre).requires_grad_()
    norm = norm_of(vectors * LANES, seed)
    reference = copy.deepcopy(norm).double()
    gradients = features(*images.shape, seed + 1)
    result = rectified_norm(norm, images, place)
    expected = rectified_norm(reference, images.double(), place)
    assert off(result, expected) < 5e-6
    leaves, their_leaves = ((images, n.weight, n.bias) for n in (norm, reference))
    found = torch.autograd.grad(result, leaves, gradients)
    wanted = torch.autograd.grad(expected, their_leaves, gradients.double())
    for mine, theirs in zip(found, wanted, strict=True):
        # Where a channel hardly varies, what is left of the gradients is their rounding.
        assert (mine - theirs).norm() < 1e-4 * theirs.norm() + 3e-7 * gradients.norm()
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(
            getattr(norm, name).double(), getattr(reference, name).double(), rtol=1e-5, atol=1e-5
        )


@needs_kernels
@needs_halves
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_a_rectified_norm_of_bfloat16_is_that_of_its_numbers_and_rounded(place, vectors):
    images = features(20, vectors * LANES, 7, 9).add(0.5).bfloat16().requires_grad_()
    norm, gradients = norm_of(vectors * LANES), features(20, vectors * LANES, 7, 9, 1).bfloat16()
    reference = copy.deepcopy(norm).double()
    in_double = images.detach().double().requires_grad_()
    result, expected = rectified_norm(norm, images, place), rectified_norm(reference, in_double, place)
    found = torch.autograd.grad(result, (images, norm.weight, norm.bias), gradients)
    wanted = torch.autograd.grad(expected, (in_double, reference.weight, reference.bias), gradients.double())
    assert [tensor.dtype for tensor in (result, *found)] == [torch.bfloat16] * 2 + [torch.float32] * 2
    assert off(result, expected) < 3e-3
    assert off(found[0], wanted[0]) < 3e-3
    for mine, theirs in zip(found[1:], wanted[1:], strict=True):
        assert off(mine, theirs) < 1e-5
    assert off(norm.running_var, reference.running_var) < 1e-6
    with torch.no_grad():
        by_averages = rectified_norm(norm.eval(), images, place)
    assert by_averages.dtype == torch.bfloat16
    assert off(by_averages, rectified_norm(reference.eval(), in_double, place)) < 3e-3


@needs_kernels
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_norm_by_its_averages_is_pytorchs(place):
    images, norm = features(4, LANES, 5, 7), norm_of(LANES).eval()
    with torch.no_grad():
        fast = rectified_norm(norm, images, place)
    plain = rectified_norm(norm, images, place)  # with gradients it is PyTorch's
    assert type(plain.grad_fn).__name__ != "_RectifiedNormBackward"
    torch.testing.assert_close(fast, plain)


@needs_kernels
def test_a_million_pixels_cost_a_variance_no_accuracy():
    images = features(64, LANES, 128, 128) * 0.1 + 5
    norm = nn.BatchNorm2d(LANES, momentum=1.0)
    rectified_norm(norm, images, "before")
    expected = images.double().transpose(0, 1).flatten(1).var(1)
    assert off(norm.running_var, expected) < 1e-4


def test_one_value_a_channel_is_refused_as_by_pytorch():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        rectified_norm(norm_of(LANES), features(1, LANES, 1, 1), "after")


# Pooling -----------------------------------------------------------------------------------------------------


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_halves)])
@given(
    count=st.integers(1, 5),
    vectors=st.integers(1, 3),
    height=st.integers(2, 11),
    width=st.integers(2, 11),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40)
def test_pooling_and_its_gradient_are_pytorchs_bit_for_bit_also_where_pixels_are_equal(
    dtype, count, vectors, height, width, seed
):
    images = features(count, vectors * LANES, height, width, seed).round().to(dtype).requires_grad_()
    result, expected = max_pool(images), F.max_pool2d(images, 2)
    assert torch.equal(result, expected)
    gradients = features(*result.shape, seed + 1).to(dtype)
    (mine,), (theirs,) = (torch.autograd.grad(r, images, gradients) for r in (result, expected))
    assert torch.equal(mine, theirs)


# Where there are none ----------------------------------------------------------------------------------------


def test_without_kernels_all_is_pytorchs(without_kernels):
    images, weight, norm = features(2, LANES, 6, 6), features(LANES, LANES, 3, 3), norm_of(LANES)
    assert torch.equal(conv3x3(images, weight), F.conv2d(images, weight, padding=1))
    assert torch.equal(conv3x3(images, weight, pool=True), plain(images, weight, None, pool=True))
    assert torch.equal(max_pool(images), F.max_pool2d(images, 2))
    assert torch.equal(
        rectified_norm(copy.deepcopy(norm), images, "after"), F.relu(copy.deepcopy(norm)(images))
    )


@needs_kernels
@pytest.mark.filterwarnings("ignore:.*trace.* is deprecated:FutureWarning")
@pytest.mark.parametrize("follow", ["export", "trace"])
def test_what_follows_a_model_sees_pytorchs_operators(follow):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.norm = nn.Parameter(features(LANES, LANES, 3, 3)), norm_of(LANES)
            self.bias = nn.Parameter(torch.ones(LANES))

        def forward(self, images):
            return max_pool(rectified_norm(self.norm, conv3x3(images, self.weight, self.bias), "after"))

    network, images = Network().eval(), features(2, LANES, 6, 6)
    if follow == "export":
        followed = torch.export.export(network, (images,)).module()
    else:
        followed = torch.jit.trace(network, (images,), check_trace=False)
    torch.testing.assert_close(followed(images), network(images), rtol=1e-4, atol=1e-5)


DESCRIBE = "from tenfold import kernels; print(kernels.describe())"


def described(**environment):
    """What a fresh process says of its kernels."""
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_switch_leaves_all_to_pytorch():
    assert described(**{SWITCH: "off"}) == f"PyTorch's ({SWITCH}=off)"


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are built on Linux alone")
def test_without_a_compiler_pytorch_trains(tmp_path):
    assert described(PATH=str(tmp_path), CC="") == "PyTorch's (no C compiler was found for tenfold's own)"


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are built on Linux alone")
def test_a_compiler_that_fails_is_told_and_leaves_nothing_behind(tmp_path):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'kernels.c: no such instruction' >&2\nexit 1\n")
    broken.chmod(0o755)
    words = described(PATH=str(tmp_path), CC="", TENFOLD_CACHE=str(tmp_path / "cache"))
    assert words == f"PyTorch's ({broken} made no usable library: kernels.c: no such instruction)"
    assert not list((tmp_path / "cache").rglob("*.so*"))


@needs_kernels
def test_a_compiler_that_knows_no_bfloat16_makes_the_rest(tmp_path):
    old = tmp_path / "cc"
    old.write_text(
        f'#!/bin/sh\ncase "$*" in *HALF*) exit 1;; esac\nexec {shutil.which("gcc") or "cc"} "$@"\n'
    )
    old.chmod(0o755)
    words = described(CC=str(old), TENFOLD_CACHE=str(tmp_path / "cache"))
    assert words == "tenfold's own where they suit"
    made = {path.stem.split("-", 1)[1] for path in (tmp_path / "cache").rglob("*.so")}
    assert made == {str(variant.lanes) for variant in library().variants}


@needs_kernels
def test_the_library_is_compiled_once_for_a_machine(tmp_path):
    cache = tmp_path / "cache"
    first = described(TENFOLD_CACHE=str(cache))
    stamps = {made: made.stat().st_mtime_ns for made in cache.rglob("*.so")}
    assert len(stamps) == len(library().variants)
    assert described(TENFOLD_CACHE=str(cache)) == first == "tenfold's own where they suit"
    assert stamps == {made: made.stat().st_mtime_ns for made in cache.rglob("*.so")}


@needs_kernels
def test_a_cache_that_cannot_be_written_leaves_all_to_pytorch(tmp_path):
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    assert described(TENFOLD_CACHE=str(blocked)).startswith("PyTorch's (")


def test_the_sources_are_part_of_the_package():
    assert {path.name for path in Path(FOLDER).glob("*.[ch]")} == {
        *("convolution.c", "norm.c", "pool.c", "vectors.h"),
    }

"""How tenfold's own kernels come to be, and that PyTorch does the work where there are none or a trace follows."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernel_cases import LANES, features, needs_kernels, norm_of, plain
from torch import nn
from torch.nn import functional as F

from tenfold.kernels import conv3x3, dispatch, max_pool, rectified_norm
from tenfold.kernels.library import FOLDER, SWITCH, Library, library


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(dispatch, "library", lambda: Library({}, "absent"))


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
    broken.write_text("#!/bin/sh\necho 'kernels.c: error: no such instruction\n  42 | here' >&2\nexit 1\n")
    broken.chmod(0o755)
    words = described(PATH=str(tmp_path), CC="", TENFOLD_CACHE=str(tmp_path / "cache"))
    assert words == f"PyTorch's ({broken} made no usable library: kernels.c: error: no such instruction)"
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

"""How tenfold's own kernels come to be, and that PyTorch does the work where there are none or a trace follows."""

import copy
import ctypes
import shutil
import sys
from importlib import import_module

import pytest
import torch
from kernel_cases import LANES, features, needs_bfloat16, needs_kernels, norm_of, plain
from torch import nn
from torch.nn import functional as F

from tenfold.kernels import conv3x3, describe, dispatch, max_pool, rectified_norm
from tenfold.kernels.compiling import SWITCH, _loaded_or_compiled, find_compiler, place
from tenfold.kernels.library import FLAGS, FOLDER, HEADERS, SOURCES, Library, build_of, library
from tenfold.kernels.pool import PoolProblem

OWN = "tenfold's own where they suit"


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(dispatch, "library", lambda: Library(absent="none here"))


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


@pytest.fixture
def anew(tmp_path, monkeypatch):
    """A function that forgets what is loaded and has the kernels sought in a cache of that name, which it gives.

    What is compiled for it is not optimised: that takes a third of the time.
    """
    caches = (library, find_compiler, _loaded_or_compiled, build_of)
    flags = tuple("-O0" if flag == "-O3" else flag for flag in FLAGS)
    monkeypatch.setattr(import_module("tenfold.kernels.library"), "FLAGS", flags)

    def forget(name="cache"):
        for cached in caches:
            cached.cache_clear()
        monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / name))
        return tmp_path / name

    yield forget
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


def convolve(channels, bfloat16):
    images, weight = features(2, channels, 6, 6), features(channels, channels, 3, 3)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        return rectified_norm(norm_of(channels), conv3x3(images, weight), "after")


def variants_in(cache):
    """The variants whose libraries a cache holds, as their files are named."""
    return {path.stem.split("-", 1)[1] for path in cache.rglob("*.so")}


def test_the_switch_leaves_all_to_pytorch(anew, monkeypatch):
    anew()
    monkeypatch.setenv(SWITCH, "off")
    assert describe() == f"PyTorch's ({SWITCH}=off)"


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are built on Linux alone")
def test_without_a_compiler_pytorch_trains(anew, tmp_path, monkeypatch):
    anew()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert describe() == "PyTorch's (no C compiler was found for tenfold's own)"


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are built on Linux alone")
def test_a_compiler_that_fails_is_told_and_leaves_nothing_behind(anew, tmp_path, monkeypatch):
    cache = anew()
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'kernels.c: error: no such instruction\n  42 | here' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert describe() == f"PyTorch's ({broken} made no usable library: kernels.c: error: no such instruction)"
    assert not list(cache.rglob("*.so*"))


@needs_kernels
def test_a_compiler_that_knows_no_bfloat16_makes_the_rest(tmp_path, monkeypatch, anew):
    old = tmp_path / "cc"
    old.write_text(f'#!/bin/sh\ncase "$*" in *BFLOAT16*) exit 1;; esac\nexec {library().compiler} "$@"\n')
    old.chmod(0o755)
    monkeypatch.setenv("CC", str(old))
    cache = anew()
    assert library().compiler == str(old)
    assert describe(bfloat16=True) == OWN
    assert variants_in(cache) == {str(library().variants[0].lanes)}
    assert library().fitting(bfloat16=True) is None


@needs_kernels
@pytest.mark.parametrize("bfloat16", [False, pytest.param(True, marks=needs_bfloat16)])
def test_only_what_a_run_needs_is_compiled_and_once(anew, bfloat16):
    cache, widest, kind = anew(), library().variants[0].lanes, "-bfloat16" * bfloat16
    assert not cache.exists()
    assert describe(bfloat16=bfloat16) == OWN
    stamps = {made: made.stat().st_mtime_ns for made in cache.rglob("*.so")}
    first = convolve(2 * widest, bfloat16)
    anew()
    assert torch.equal(convolve(2 * widest, bfloat16), first)
    assert variants_in(cache) == {f"{widest}{kind}"}
    assert stamps == {made: made.stat().st_mtime_ns for made in cache.rglob("*.so")}
    convolve(24, bfloat16)
    assert variants_in(cache) == {f"{widest}{kind}", f"8{kind}"}


@pytest.mark.slow
@needs_kernels
def test_libraries_of_other_versions_are_removed_when_one_is_made_and_those_who_use_them_go_on(anew):
    first = anew("first")
    describe()
    (made,) = first.rglob("*.so")
    cache = anew("second")
    here, _ = place(library().compiler, build_of(library().variants[0]))
    older, oldest, other = (
        here / "0123456789abcdef-16.so",
        cache / "kernels" / "fedcba9876543210-16-half.so",
        cache / "kernels" / "another-processor" / "0123456789abcdef-16.so",
    )
    for old in (older, oldest, other):
        old.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, old)
    user = ctypes.CDLL(str(older))
    assert older.exists()
    describe()
    assert {path.parent for path in cache.rglob("*.so")} == {here, other.parent}
    assert not older.exists()
    assert not oldest.exists()
    images, result = torch.ones(1, 2, 2, 16), torch.zeros(1, 1, 1, 16)
    chosen = torch.zeros(16, dtype=torch.uint8)
    sizes = {"count": 1, "height": 2, "width": 2, "channels": 16, "threads": 1}
    user["pool"](ctypes.byref(PoolProblem(images=images, results=result, chosen=chosen, **sizes)))
    assert torch.equal(result, torch.ones_like(result))


@needs_kernels
def test_a_damaged_library_is_made_anew(anew):
    cache = anew()
    cache.joinpath("kernels").mkdir(parents=True)
    folder, version = place(library().compiler, build_of(library().variants[0]))
    folder.mkdir()
    damaged = folder / f"{version}-{library().variants[0].lanes}.so"
    damaged.write_bytes(b"\x7fELF, and no more")
    assert describe() == OWN
    assert damaged.stat().st_size > 1000


@needs_kernels
def test_a_cache_that_cannot_be_written_leaves_all_to_pytorch(anew):
    anew().write_text("a file where the folder should be")
    assert describe().startswith("PyTorch's (")


def test_the_sources_are_part_of_the_package():
    assert {path.name for path in SOURCES} == {"forward.c", "gradients.c", "norm.c", "pool.c"}
    assert {path.name for path in HEADERS} >= {"vectors.h", "convolution.h"}


@pytest.mark.parametrize("file", [*SOURCES, *HEADERS], ids=lambda file: file.name)
def test_the_map_names_every_file(file):
    assert f"`{file.name}`" in (FOLDER / "README.md").read_text(encoding="utf-8")

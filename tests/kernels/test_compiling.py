"""C files become functions of this process, once; what keeps them from it is said in a line."""

import ctypes
import subprocess

import pytest

from tenfold.kernels.compiling import SWITCH, Build, find_compiler, made, place, reason

needs_compiler = pytest.mark.skipif(not find_compiler()[0], reason="no C compiler here")
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def build(tmp_path) -> Build:
    (tmp_path / "add.h").write_text("int add(int a, int b);\n")
    (tmp_path / "add.c").write_text('#include "add.h"\nint add(int a, int b) { return a + b + MORE; }\n')
    sources, headers = (tmp_path / "add.c",), (tmp_path / "add.h",)
    return Build("sums", "plain", sources, headers, ("add",), ("-O1", "-fPIC"), ("-DMORE=1",))


@needs_compiler
def test_a_function_is_compiled_once_and_kept_in_the_cache(build, own_cache):
    compiler, _ = find_compiler()
    functions = made(compiler, build)
    assert not isinstance(functions, Exception)
    assert functions["add"](ctypes.c_int(2), ctypes.c_int(3)) == 6
    assert made(compiler, build) is functions
    (library,) = (own_cache / "sums").rglob("*.so")
    folder, version = place(compiler, build)
    assert library == folder / f"{version}-plain.so"


@needs_compiler
def test_what_a_library_depends_on_is_in_its_name(build):
    compiler, _ = find_compiler()
    _, version = place(compiler, build)
    build.headers[0].write_text("int add(int a, int b); // changed\n")
    assert place(compiler, build)[1] != version


@needs_compiler
def test_what_the_compiler_finds_wrong_is_said_in_a_line(build, own_cache):
    build.sources[0].write_text("int add(int a) {\n  return nothing;\n}\n")
    error = made(find_compiler()[0], build)
    assert isinstance(error, subprocess.CalledProcessError)
    assert "add.c:2:" in reason(error)
    assert "error:" in reason(error)
    assert "nothing" in reason(error)
    assert not list((own_cache / "sums").rglob("*.so"))


def test_a_reason_is_one_line():
    assert reason(OSError("no such\nfile")) == "file"
    assert reason(TimeoutError()) == "TimeoutError"
    assert (
        reason(subprocess.CalledProcessError(1, "cc", stderr="note\nx.c: error: bad\n  ^~~\n"))
        == "x.c: error: bad"
    )


def test_the_switch_says_why_nothing_is_compiled(monkeypatch):
    find_compiler.cache_clear()
    monkeypatch.setenv(SWITCH, "off")
    try:
        assert find_compiler() == ("", f"{SWITCH}=off")
    finally:
        find_compiler.cache_clear()

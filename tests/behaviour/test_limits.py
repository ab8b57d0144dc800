"""Little memory, few open files, little room on the disk: commands work, or one line says what to change."""

import shutil
import subprocess
import sys

import pytest
from small import SMALL, words

pytestmark = pytest.mark.skipif(not shutil.which("prlimit"), reason="needs the limits of the Linux kernel")

LIMITED = """
import resource, sys
import tenfold.workbench.verbs
from tenfold.cli import main
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]) << 20, resource.RLIM_INFINITY))
sys.argv = ["tenfold", "train", "digits", "model.filters=[4]", "fit.epochs=1", *sys.argv[2:]]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mebibytes", "dense", "remedy"),
    [
        (2048, 40_000_000, "Halve fit.batch_size or data.image_size"),  # for the model alone
        (1024, 600_000, "Try fit.batch_size=32 or data.image_size=4 or a smaller model"),  # for learning
    ],
)
def test_used_up_memory_is_told_with_what_to_lower(mebibytes, dense, remedy, tmp_path):
    limited = [sys.executable, "-c", LIMITED, str(mebibytes), f"model.dense={dense}", "--out", tmp_path]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tenfold: the memory is used up (")
    assert remedy in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("gib", [0.5, 1])
def test_too_small_an_address_space_is_told_with_what_lifts_it(gib, tmp_path):
    limited = ["prlimit", f"--as={int(gib * 2**30)}", *words("train", "digits")]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    said = f"tenfold: the address space of {gib:.1f} GiB that `ulimit -v` allows is used up ("
    assert done.stderr.startswith(said)
    assert done.stderr.endswith("`ulimit -v unlimited` lifts the limit.\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_too_few_open_files_are_told(pictures, tmp_path):
    limited = ["prlimit", "--nofile=8", *words("inspect", pictures)]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("tenfold: too many files are open at once (")
    assert done.stderr.endswith("`ulimit -n 64` and more is enough.\n")


@pytest.mark.slow
def test_64_open_files_are_enough(pictures, tmp_path):
    """For training, and for a sweep with two workers."""
    source = ("--data", pictures, "--out", tmp_path)
    for command in (
        ("train", "digits", *SMALL, *source),
        ("sweep", "digits", *SMALL[:1], *SMALL[2:], "model.dense=4,8", "--workers", "2", *source),
    ):
        limited = ["prlimit", "--nofile=64", *words(*command)]
        done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_that_the_disk_has_no_room_for_says_how_much_it_needs(pictures, tmp_path):
    """A real disk, of 4 MiB, seen only by the process that fills it."""
    runs = tmp_path / "runs"
    runs.mkdir()
    mounted = f'mount -t tmpfs -o size=4m none {runs} || exit 77; exec "$@"'
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets no process mount a file system of its own")
    small = (*SMALL[:1], "model.dense=5000", *SMALL[2:], "--data", pictures, "--out", runs)
    done = subprocess.run(
        [*alone, *words("train", "digits", *small)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "checkpoint: the disk is full: " in last
    assert (
        "MiB are needed, and 4.0 MiB are free. Free some space there, or choose another folder with --out"
        in last
    )

"""Training on streamed shards: the same bits after a kill, from an address too, and in bounded memory."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from small import SMALL, wait_for, words

from tenfold.data import Source
from tenfold.data.shards.packing import pack_shards
from tenfold.runs.files import FolderFileError
from tenfold.runs.folder import Run

pytestmark = pytest.mark.usefixtures("undrawn")
STREAMED = ("data.streaming=true", "data.shuffle_buffer=400", "fit.batch_size=4", "fit.epochs=2")


@pytest.fixture(scope="module")
def shards(cache, tmp_path_factory) -> Path:
    """The digits in 18 shards of 100."""
    out = tmp_path_factory.mktemp("digits") / "shards"
    pack_shards(Source("digits"), out, images=100)
    return out


@pytest.fixture(scope="module")
def whole(command, shards, tmp_path_factory) -> Run:
    """A streamed run that nobody stopped."""
    out = tmp_path_factory.mktemp("runs")
    answer = command("train", "digits", "--data", shards, "--out", out, "--name", "whole", *SMALL, *STREAMED)
    assert answer.status == 0, answer.err
    assert "images are streamed from shards: data.streaming=true" in answer.out
    return Run(out / "whole")


def assert_same(run: Run, whole: Run) -> None:
    for file in (Run.weights, Run.state):
        one, other = load_file(run.path_of(file)), load_file(whole.path_of(file))
        assert one.keys() == other.keys()
        assert all(one[name].equal(other[name]) for name in one)
    assert [{**row, "seconds": 0} for row in run.history] == [{**row, "seconds": 0} for row in whole.history]
    np.testing.assert_array_equal(run.test_predictions.probabilities, whole.test_predictions.probabilities)


def within(run: Run) -> int:
    """The steps of the epoch that has begun, by the last checkpoint."""
    try:
        return run.state.within.steps if run.has(Run.state) and run.state.within else 0
    except FolderFileError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("place", ["within an epoch", "at the end of one"])
def test_a_killed_streamed_run_goes_on_to_the_same_bits(place, shards, whole, tmp_path, command):
    run = Run(tmp_path / "run")
    more = (*SMALL, *STREAMED, "fit.checkpoint_minutes=1e-9")
    options = words("train", "digits", "--data", shards, "--out", tmp_path, "--name", "run", *more)
    with subprocess.Popen(options, stdout=subprocess.DEVNULL) as process:
        inside = place == "within an epoch"
        wait_for(
            (lambda: within(run)) if inside else (lambda: run.has(Run.state) and run.state.epoch), process
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run.state.epoch < 2
    assert not run.has(Run.metrics)
    assert command("resume", run.path).status == 0
    assert_same(run, whole)


class Ranges(SimpleHTTPRequestHandler):
    """A server of files that sends parts of them, as object stores do; it notes what was asked for."""

    asked: list[str]

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.asked.append(self.path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted:
            self.send_part(wanted)
        else:
            super().do_GET()

    def send_part(self, wanted: re.Match[str]) -> None:
        contents = Path(self.translate_path(self.path)).read_bytes()
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(contents))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(contents)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(contents[start:stop])

    def log_message(self, *ignored) -> None:
        pass


@pytest.fixture
def server(shards):
    """The shards at http://127.0.0.1, and what is asked of them."""
    asked: list[str] = []
    handler = type("Noting", (Ranges,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(shards))) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/", asked
        http.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_run_on_shards_at_an_address_is_the_run_on_those_here(server, whole, tmp_path, command, cache):
    address, asked = server
    options = ("--out", tmp_path, "--name", "there", *SMALL, *STREAMED)
    answer = command("train", "digits", "--data", address, *options)
    assert answer.status == 0, answer.err
    assert "images are streamed from shards: they are at an address" in answer.out
    assert_same(Run(tmp_path / "there"), whole)
    # Each shard comes as a whole, some times an epoch and once for each other pass; single pictures by their bytes.
    assert asked.count("/index.json") <= 3
    assert asked.count("/samples.arrow") == 1
    assert not list((cache / "shards").iterdir())
    assert command("evaluate", tmp_path / "there").status == 0


# Memory ------------------------------------------------------------------------------------------------------

EPOCH = """
import json, resource, sys
import torch
from tenfold.data import Source, read_splits
from tenfold.data.feeds import feed
from tenfold.recipe import Data, Fit
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
splits = read_splits(Data(streaming=True, shuffle_buffer=800), Source(sys.argv[1]))
source = feed(splits.train, torch.device("cpu"))
next(iter(source.batches(source.order(Fit(), 1))))
before, images = peak(), 0
for epoch in (1, 2):
    for batch in source.batches(source.order(Fit(), epoch)):
        images += len(batch.images)
print(json.dumps({"images": images, "before": before, "after": peak(),
                  "decoded": 2**-20 * splits.train.pixels.nbytes}))
"""


def noise(folder: Path, images: int) -> Path:
    draw = np.random.default_rng(0)
    for number in range(images):
        place = folder / "train" / f"c{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 255, (8, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        Image.fromarray(pixels).save(place / f"{number}.png")
    for name in ("c0", "c1"):
        (folder / "test" / name).mkdir(parents=True)
        for path in sorted((folder / "train" / name).iterdir())[:5]:
            shutil.copy(path, folder / "test" / name)
    return folder


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_shards(tmp_path):
    peaks = {}
    for images in (350, 2800):
        pack_shards(Source(str(noise(tmp_path / f"s{images}", images))), tmp_path / f"o{images}", images=100)
        answer = subprocess.run(
            [sys.executable, "-c", EPOCH, tmp_path / f"o{images}"], capture_output=True, text=True, check=True
        )
        peaks[images] = json.loads(answer.stdout)
    few, many = peaks.values()
    assert many["images"] > 6 * few["images"]
    assert many["decoded"] - few["decoded"] > 100
    # What is decoded ahead is at most 64 MiB; eight times the shards take nothing more.
    assert many["after"] - many["before"] < 64
    assert many["after"] - few["after"] < 16

"""`tenfold serve` on loopback: latency beside ONNX Runtime's own, many clients, memory, health, equal answers.

    python bench/serve.py [FOLDER ...] [--requests 200] [--seconds 60]

Takes about three minutes: for two networks, the seconds with 64 clients, and half as long again.

Without exported folders, two are made of networks with random weights, which take as long as trained ones: the
notebooks' `model-s-baseline` for 32x32 pixels (PNG), and `fine-tune`'s backbone for photographs of 500x375 (JPEG).

Latency: one client on a kept connection, beside the same model in a process of its own, in turn, request after
request: its ONNX Runtime alone, and with the decoding of the file, which the server does too. What HTTP takes by
itself is the time of `GET /health`, which answers a constant. Load: so many clients,
each asking again as soon as it is answered; one more asks for /health 20 times a second. The clients' process shares
the machine.
"""

import argparse
import asyncio
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import psutil
from common import print_machine
from PIL import Image

# What an idle server and a busy one may differ by: rounding, as batches of other sizes sum in another order.
TOLERANCE = 1e-5
# The pause before each measurement: threads that spin after the last one would take its time.
PAUSE = 0.01
OWN = """
import sys, time
from pathlib import Path
from tenfold.inference.contract import read_contract
from tenfold.inference.predictor import OnnxPredictor
folder, picture = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
contract, predictor = read_contract(folder), OnnxPredictor(folder)
pixels = contract.pixels(picture)[None]
works = {"alone": lambda: predictor.logits(pixels), "whole": lambda: predictor.logits(contract.pixels(picture)[None])}
for line in sys.stdin:
    work = works[line.strip()]
    began = time.perf_counter()
    work()
    print(time.perf_counter() - began, flush=True)
"""


def make_folders(below: Path) -> list[Path]:
    from tenfold.inference.calibrate import calibrate, learn_familiarity
    from tenfold.inference.contract import Contract
    from tenfold.inference.familiarity import Seen, pixel_statistics
    from tenfold.inference.onnx_model import write_onnx
    from tenfold.inference.predictor import softmax
    from tenfold.models import build_model
    from tenfold.recipe import load_recipe

    folders = []
    for recipe, shape, classes in (("model-s-baseline", (3, 32, 32), 10), ("fine-tune", (3, 224, 224), 100)):
        folder = below / recipe
        folder.mkdir()
        names = tuple(f"class {number}" for number in range(classes))
        model = build_model(load_recipe(recipe).model, shape, classes).eval()
        write_onnx(model, folder / "model.onnx", names)
        # Random answers: what a contract decides of each picture takes its time, whatever it decides.
        logits = np.random.default_rng(0).normal(size=(2000, classes)).astype(np.float32)
        labels = logits.argmax(1)
        calibration = calibrate(labels, softmax(logits))
        images = np.random.default_rng(0).integers(0, 256, (2000, 8, *shape[2:], shape[0]), np.uint8)
        seen = Seen(logits, pixel_statistics(images))
        familiarity = learn_familiarity(seen, seen.statistics, seen)
        Contract(names, shape, calibration=calibration, familiarity=familiarity).write(folder)
        folders.append(folder)
    return folders


def make_pictures(folder: Path, count: int = 16) -> list[bytes]:
    """Encoded pictures of smooth noise, as large as those that the model is for."""
    shape = json.loads((folder / "inference.json").read_text())["image"]
    size, kind = ((32, 32), "PNG") if shape[1] < 100 else ((500, 375), "JPEG")
    pictures = []
    for seed in range(count):
        noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        data = io.BytesIO()
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(data, kind)
        pictures.append(data.getvalue())
    return pictures


class Served:
    """`tenfold serve FOLDER` as a process."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-m", "tenfold", "serve", str(folder), "--port", "0"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        found = None
        for line in self.process.stdout:
            found = found or re.search(r"the page: http://[^:]+:(\d+)/", line)
            if "Ctrl-C" in line:
                break
        if found is None:
            raise SystemExit("tenfold serve did not start")
        self.port = int(found[1])

    def memory(self) -> float:
        """Resident MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


class Client:
    """One client on a kept connection."""

    def __init__(self, port: int, picture: bytes) -> None:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture)}\r\n\r\n"
        self.predict = head.encode() + picture
        self.health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def seconds(self, request: bytes) -> float:
        """From sending the request's first byte to the last byte of its answer."""
        began = time.perf_counter()
        self.connection.sendall(request)
        answer = self.connection.recv(1 << 16)
        start = answer.index(b"\r\n\r\n") + 4
        length = int(re.search(rb"content-length: (\d+)", answer)[1])
        while len(answer) < start + length:
            answer += self.connection.recv(1 << 16)
        took = time.perf_counter() - began
        if b" 200 " not in answer[:20]:
            raise SystemExit(f"an idle server answered {answer[:200]!r}")
        return took


class Own:
    """The same model in a process of its own, without a server."""

    def __init__(self, folder: Path, picture: bytes) -> None:
        self.file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (closed by `close`)
        self.file.write(picture)
        self.file.flush()
        words = [sys.executable, "-c", OWN, str(folder), self.file.name]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, what: str) -> float:
        print(what, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.file.close()


def compare_latency(folder: Path, served: Served, picture: bytes, requests: int) -> None:
    """Each in turn, request after request, so that what else runs on the machine delays all alike."""
    own, client = Own(folder, picture), Client(served.port, picture)
    works = {
        "ONNX Runtime alone": lambda: own.seconds("alone"),
        "decoding + ONNX Runtime": lambda: own.seconds("whole"),
        "GET /health": lambda: client.seconds(client.health),
        "POST /predict": lambda: client.seconds(client.predict),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(requests + 20):
        for name, work in works.items():
            time.sleep(PAUSE)
            seconds = work()
            if number >= 20:
                times[name].append(seconds)
    own.close()
    print(f"\nbatch 1, {requests} in turn, ms:             median     p99")
    alone, whole, floor, http = (
        np.array([np.median(found), np.percentile(found, 99)]) for found in times.values()
    )
    for name, found in zip(works, (alone, whole, floor, http), strict=True):
        print(f"  {name:<42}{1e3 * found[0]:10.3f}{1e3 * found[1]:10.3f}")
    limits = {
        "ONNX Runtime alone": alone,
        "ONNX Runtime + GET /health": alone + floor,
        "decoding + ONNX Runtime": whole,
        "decoding + ONNX Runtime + GET /health": whole + floor,
    }
    for name, limit in limits.items():
        print(f"  over {name:<37}{http[0] / limit[0]:9.2f}x{http[1] / limit[1]:9.2f}x")


class Load:
    """Clients that ask again as soon as they are answered."""

    def __init__(self, port: int, pictures: list[bytes], idle: list[dict]) -> None:
        self.port, self.pictures, self.idle = port, pictures, idle
        self.statuses: Counter[int] = Counter()
        self.times: list[float] = []
        self.health: list[float] = []
        self.difference, self.other = 0.0, 0

    async def run(self, clients: int, seconds: float) -> None:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(self._client(number, end) for number in range(clients)), self._watch(end))

    async def _client(self, number: int, end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        which = number
        while time.perf_counter() < end:
            which = (which + 1) % len(self.pictures)
            began = time.perf_counter()
            status, body, wait = await ask(reader, writer, self.pictures[which])
            self.statuses[status] += 1
            if status == 200:
                self.times.append(time.perf_counter() - began)
                self._compare(json.loads(body), self.idle[which])
            else:
                await asyncio.sleep(min(wait, 0.1))  # a less patient client than it is told to be
        writer.close()

    def _compare(self, answer: dict, idle: dict) -> None:
        self.other += any(answer[key] != idle[key] for key in ("predicted", "unsure", "unlike"))
        differences = [abs(answer["probabilities"][name] - p) for name, p in idle["probabilities"].items()]
        self.difference = max(self.difference, *differences)

    async def _watch(self, end: float) -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            self.health.append(time.perf_counter() - began)
            if b" 200 " not in answer[:20]:
                raise SystemExit("/health failed")
            writer.close()
            await asyncio.sleep(0.05)


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, picture: bytes
) -> tuple[int, bytes, float]:
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture)}\r\n\r\n"
    writer.write(head.encode() + picture)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), body, float(headers.get("retry-after", 0))


def load(served: Served, pictures: list[bytes], clients: int, seconds: float) -> None:
    idle = []
    for picture in pictures:
        connection = HTTPConnection("127.0.0.1", served.port)
        connection.request("POST", "/predict", picture, {"Content-Type": "application/octet-stream"})
        idle.append(json.loads(connection.getresponse().read()))
        connection.close()
    asyncio.run(
        Load(served.port, pictures, idle).run(clients, min(seconds, 3))
    )  # what memory it takes at all
    calm = Load(served.port, pictures, idle)
    asyncio.run(calm.run(0, 3))  # what else runs on the machine delays /health as well
    before, run = served.memory(), Load(served.port, pictures, idle)
    asyncio.run(run.run(clients, seconds))
    after = served.memory()
    times = np.array(run.times)
    print(f"\n{clients} clients for {seconds:g} s")
    print(f"  statuses                 {dict(run.statuses)}")
    print(f"  answers a second         {len(times) / seconds:.0f}")
    print(
        f"  answered in, ms          median {1e3 * np.median(times):.1f}, p99 {1e3 * np.percentile(times, 99):.1f}"
    )
    for name, health in (("/health, ms", run.health), ("  of the idle server, ms", calm.health)):
        print(f"  {name:<24} median {1e3 * np.median(health):.1f}, p99 {1e3 * np.percentile(health, 99):.1f}")
    print(f"  memory, MiB              {before:.0f} before, {after:.0f} after ({after / before - 1:+.1%})")
    print(f"  other than when idle     {run.other} answers; largest difference {run.difference:.1e}")
    if set(run.statuses) - {200, 503} or run.other or run.difference > TOLERANCE:
        raise SystemExit("not as it should be")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    print_machine({})
    with tempfile.TemporaryDirectory() as below:
        for folder in options.folders or make_folders(Path(below)):
            print(f"\n== {folder.name} ==")
            served, pictures = Served(folder), make_pictures(folder)
            try:
                compare_latency(folder, served, pictures[0], options.requests)
                load(served, pictures, 16, options.seconds / 10)
                load(served, pictures, 64, options.seconds)
            finally:
                served.close()


if __name__ == "__main__":
    main()

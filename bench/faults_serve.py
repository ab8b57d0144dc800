"""A server that is killed at its changes of files, while a client corrects its answers: `bench/faults.py serve`.

After a kill nothing may listen on its port and no process of it may be alive; each picture lies in one class folder
at most; what was answered with 201 is in corrections.csv. A new server, sent the same corrections again, must end
with the files of one that nobody killed.
"""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from killing import Done, Killing

from tenfold.serving.corrections import Corrections

MODEL = "runs/one/export"
CLASSES = ("a", "b", "c")
# Pictures of the folder `others` and the classes that they are said to be of; the last corrects the first.
SAID = (("a/0", "b"), ("a/1", "c"), ("a/0", "c"))
BOUNDARY = "-----tenfold"
PATIENCE = 60.0  # seconds in which a server must have begun


@dataclass(frozen=True)
class Session:
    """How a server ended, the port it had, and the corrections that it answered with 201, as (path, label)."""

    done: Done
    port: int
    kept: list[tuple[str, str]]


def session(commands: Killing, at: int = 0) -> Session:
    """Serve MODEL, send SAID, and end the server, unless it is killed at its change number `at` before."""
    commands.log.write_bytes(b"")  # what the last server said is not this one's
    with ThreadPoolExecutor(1) as pool:
        words = ("serve", MODEL, "--port", "0", "--corrections", "kept")
        running = pool.submit(commands.run, *words, at=at)
        port = _port(commands, running)
        kept = _corrected(commands.folder, port) if port else []
        commands.stop()
        return Session(running.result(), port, kept)


def faults_of(commands: Killing, killed: Session) -> Iterator[str]:
    """What is wrong after a kill, in words."""
    if killed.port and _listens(killed.port):
        yield "its port is open"
    kept = Corrections(commands.folder / "kept", CLASSES)
    for path in {path.name for path in kept.folder.glob("*/[!.]*.png")}:
        if len(found := sorted(kept.folder.glob(f"*/{path}"))) > 1:
            yield f"{path} lies in {len(found)} folders"
    rows = [(row.path, row.label) for row in kept.all()]
    # The last answer about a picture is the one that holds.
    last = {Path(path).name: (path, label) for path, label in killed.kept}
    yield from (
        f"{path} was answered and is not in the file"
        for path, label in last.values()
        if (path, label) not in rows and not _being_replaced(kept.folder, path)
    )


def outcome(folder: Path) -> list[str]:
    """All that corrections left: paths of pictures, and rows of the file without their times."""
    kept = Corrections(folder / "kept", CLASSES)
    paths = sorted(
        path.relative_to(kept.folder).as_posix() for path in kept.folder.rglob("*") if path.is_file()
    )
    return [*paths, *(f"{row.path},{row.label},{row.predicted}" for row in kept.all())]


def _being_replaced(folder: Path, path: str) -> bool:
    """Whether a picture was being moved by a correction that had no answer yet."""
    return not (folder / path).is_file()


def _port(commands: Killing, running: "Future[Done]") -> int:
    """The port that the server says it listens on; 0 where it ended before."""
    end = time.monotonic() + PATIENCE
    while not running.done() and time.monotonic() < end:
        said = commands.log.read_text(encoding="utf-8", errors="replace")
        if "Ctrl-C ends it" in said:
            return int(said.partition("http://127.0.0.1:")[2].partition("/")[0])
        time.sleep(0.01)
    return 0


def _corrected(folder: Path, port: int) -> list[tuple[str, str]]:
    kept = []
    for name, label in SAID:
        try:
            status, answer = _send(port, (folder / "others" / f"{name}.png").read_bytes(), label)
        except (OSError, http.client.HTTPException):
            break
        if status != 201:
            raise SystemExit(f"serve: a correction was answered with {status}: {answer}")
        kept.append((answer["path"], answer["label"]))
    return kept


def _send(port: int, picture: bytes, label: str) -> tuple[int, dict[str, str]]:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="label"\r\n\r\n{label}\r\n--{BOUNDARY}\r\n'
    head += (
        'Content-Disposition: form-data; name="image"; filename="0.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    body = head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        connection.request("POST", "/corrections", body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0

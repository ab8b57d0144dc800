"""The process: how it starts, what it says, how it ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from served import FIXTURES, Client, encoded, noise
from small import wait_for, words

import tenfold

GOOD = encoded(noise())


@pytest.fixture
def started(exported, tmp_path):
    """`tenfold serve` as a process: (process, port). It is killed in the end."""
    processes = []

    def start(*options, **environment):
        process = subprocess.Popen(
            words("serve", exported, "--port", "0", *options),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        processes.append(process)
        lines = [process.stdout.readline()]
        while lines[-1] and "Ctrl-C ends it" not in lines[-1]:
            lines.append(process.stdout.readline())
        assert lines[-1], (lines, process.stderr.read())
        assert "the page: http://" in lines[1]
        return process, int(lines[1].split(":")[3].split("/")[0])

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_ends_quietly(started, number):
    process, port = started()
    assert Client(port).predict(GOOD).status == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert out.strip() == err == ""
    assert process.returncode in {0, -signal.SIGTERM}
    assert process.returncode == (0 if number == signal.SIGINT else -signal.SIGTERM)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_what_was_begun_is_answered_before_the_end(started):
    process, port = started()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(GOOD) + GOOD[:20])
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        connection.sendall(GOOD[20:])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert process.wait(60) == 0


def test_no_thread_or_process_outlives_it(started):
    psutil = pytest.importorskip("psutil", reason="needs psutil")
    process, port = started()
    Client(port).predict(GOOD)
    assert psutil.Process(process.pid).children(recursive=True) == []
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_torch_is_not_loaded_for_an_exported_folder(exported):
    code = (
        f"import sys; from tenfold.serving.server import Server; Server({str(exported)!r}, port=0).close(); "
        "heavy = ('torch', 'matplotlib', 'sklearn', 'pyarrow', 'pandas', 'scipy'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_taken_port(command, exported):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = command("serve", exported, "--port", str(taken.getsockname()[1]))
    assert answer.status == 2
    assert "--port 0" in answer.err


@pytest.mark.parametrize(
    "options", [("--host", "no.such.name.invalid"), ("--host", "203.0.113.7"), ("--port", "70000")]
)
def test_an_address_that_cannot_be_had(command, exported, options):
    assert command("serve", exported, *options).status == 2


@pytest.mark.parametrize("run", ["nowhere", "."])
def test_what_is_no_run(command, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    answer = command("serve", run, "--port", "0")
    assert answer.status == 2
    assert run in answer.err or str(tmp_path) in answer.err


def test_the_token_of_the_environment(started):
    process, port = started("--host", "0.0.0.0", TENFOLD_TOKEN="a-token-of-my-own")
    assert Client(port).get("/model").status == 401
    assert Client(port, Authorization="Bearer a-token-of-my-own").get("/model").status == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_from_python(exported, tmp_path):
    before = set(threading.enumerate())
    with tenfold.serve(exported, port=0, corrections=tmp_path) as server:
        assert Client(server.port).predict(GOOD).json["predicted"] in "0123456789"
        assert server.url in repr(server)
        waiting = threading.Thread(target=server.wait)
        waiting.start()
    waiting.join(30)
    assert not waiting.is_alive()
    begun = [thread for thread in threading.enumerate() if thread not in before]
    wait_for(lambda: not any(one.is_alive() for one in begun if one.name in {"model", "serve"}), seconds=10)


def test_two_servers_in_one_process(serve):
    one, other = serve(), serve()
    assert Client(one.port).predict(GOOD).json == Client(other.port).predict(GOOD).json


@pytest.mark.slow
def test_a_run_is_served_as_predict_answers(command, serve, tmp_path):
    """The same keys and values as `tenfold predict RUN --format jsonl`, from the run's own folder."""
    run = tmp_path / "run"
    shutil.copytree(FIXTURES / "digits-0.1", run)
    paths = []
    for seed in range(4):
        paths.append(tmp_path / f"{seed}.png")
        paths[-1].write_bytes(encoded(noise(9 + seed, seed)))
    client = Client(serve(run).port)
    answers = [client.form(path.read_bytes(), name=path.name).json for path in paths]
    assert (run / "onnx" / "model.onnx").is_file()
    said = command("predict", run, *paths, "--format", "jsonl")
    assert said.status == 0, said.err
    for line, answer in zip(said.out.splitlines(), answers, strict=True):
        expected = json.loads(line)
        assert expected.pop("path").endswith(answer.pop("path"))
        for key in ("probability", "probabilities"):
            assert answer.pop(key) == pytest.approx(expected.pop(key), abs=1e-6)
        assert answer == expected
    facts = client.get("/model").json
    assert facts["name"] == "run"
    assert facts["accuracy"] == json.loads((run / "metrics.json").read_text())["test"]["accuracy"]

"""The exported folder served by Ray Serve: two replicas on this machine give the answers of `tenfold serve`."""

import asyncio
import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import own_models
import pytest
import served
from served import Client, encoded, noise

import tenfold
from tenfold.core.errors import InputError
from tenfold.serving.limits import Limits

pytest.importorskip("ray.serve", reason="needs the extra cluster: pip install 'tenfold[cluster]'")
SCRIPT = Path(served.__file__).with_name("ray_replicas.py")
PICTURES = [encoded(noise(seed=seed)) for seed in range(30)]


@pytest.fixture(scope="module")
def replicas(exported):
    """(process, client) of two replicas."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(exported), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.strip() == "ready":
            break
    else:
        raise AssertionError(process.communicate()[1][-3000:])
    with process:
        yield process, Client(port)
        process.stdin.close()
        process.wait(120)


@pytest.mark.slow
def test_two_replicas_answer_as_one_server_does(replicas, client):
    process, ray_client = replicas
    process.stdin.write("status\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "2"
    expected = [client.predict(picture).json for picture in PICTURES]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ray_client.predict, PICTURES))
        starts = set(pool.map(lambda _: _started(ray_client), range(60)))
    assert {reply.status for reply in answers} == {200}
    for reply, one in zip(answers, expected, strict=True):
        assert reply.json["predicted"] == one["predicted"]
        assert reply.json["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)
    assert len(starts) == 2, "both replicas answer"


def _started(client):
    lines = client.get("/metrics").body.decode().splitlines()
    return next(line for line in lines if line.startswith("process_start_time_seconds"))


@pytest.mark.slow
def test_the_limits_hold_there_too(replicas):
    _, client = replicas
    assert client.predict(b"").status == 400
    assert client.predict(b"text").status == 415
    assert client.predict(encoded(noise(64))[:900]).status == 422
    assert client.get("/model", Host="evil.example").status == 403
    assert client.form(PICTURES[0], path="/corrections", label="3").status == 403
    assert client.get("/ready").status == client.get("/").status == 200


@pytest.mark.parametrize(
    "options",
    [{}, {"run": "x", "replicas": "many"}, {"run": "x", "speed": "1"}, {"run": "x", "replicas": "3-2"}],
)
def test_words_that_make_no_sense(options):
    from tenfold.serving.ray_serve import build

    with pytest.raises(InputError, match="expected"):
        build(options)


def test_a_range_of_replicas_scales_by_load():
    from tenfold.serving.ray_serve import build

    deployment = build({"run": "x", "replicas": "2-8"})._bound_deployment
    scaling = deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 8)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_module_of_the_users_own_travels_to_the_replicas(tmp_path):
    from ray import cloudpickle

    from tenfold.models import given_model
    from tenfold.serving.ray_serve import build, replica

    with pytest.raises(InputError, match="trust"):
        build({"run": "x", "model": "own_models:make"})
    with pytest.raises(InputError, match="own_models:none"):
        build({"run": "x", "model": "own_models:none", "trust_code": "yes"})
    own = {"fit.epochs": 1, "data.image_size": 8}
    run = tenfold.train(model=own_models.make, data="digits", out=tmp_path, overrides=own, progress=False)
    build({"run": str(run.path), "model": "own_models:make", "trust_code": "yes"})
    given = (str(run.path), Limits(), None, None, given_model(own_models.make))
    application = cloudpickle.loads(cloudpickle.dumps(partial(replica, *given)))()
    assert asyncio.run(_get(application, "/model"))["class_names"] == [str(digit) for digit in range(10)]


async def _get(application, path):
    """What an ASGI application answers to a GET, as JSON."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    await application(scope, None, send)
    return json.loads(b"".join(message.get("body", b"") for message in sent))

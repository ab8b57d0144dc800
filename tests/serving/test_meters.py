"""What the server counts, in Prometheus' text format."""

import asyncio

import pytest

from tenfold.serving.meters import Measured, Meters


def said(meters: Meters) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in meters.text().decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def test_what_waits_is_asked_for_when_it_is_read():
    meters, waiting = Meters(), [3]
    meters.watch_pending(lambda: waiting[0])
    assert said(meters)["tenfold_pending_images"] == 3
    waiting[0] = 5
    assert said(meters)["tenfold_pending_images"] == 5


def test_two_servers_count_apart():
    one, other = Meters(), Meters()
    one.corrections.inc()
    assert said(one)["tenfold_corrections_total"] == 1
    assert said(other)["tenfold_corrections_total"] == 0


def ask(meters: Meters, path: str, app, kind: str = "http") -> None:
    measured = Measured(app, meters, frozenset({"/predict"}))

    async def nothing(*_):
        return {}

    asyncio.run(measured({"type": kind, "path": path}, nothing, nothing))


async def answering(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 201})
    await send({"type": "http.response.body"})


async def failing(scope, receive, send) -> None:
    raise RuntimeError("gone")


def test_requests_are_counted_by_route_and_status_and_unknown_paths_together():
    meters = Meters()
    for path in ("/predict", "/predict", "/a", "/b"):
        ask(meters, path, answering)
    with pytest.raises(RuntimeError, match="gone"):
        ask(meters, "/predict", failing)
    ask(meters, "", answering, "lifespan")
    found = said(meters)
    assert found['tenfold_requests_total{route="/predict",status="201"}'] == 2
    assert found['tenfold_requests_total{route="other",status="201"}'] == 2
    assert found['tenfold_requests_total{route="/predict",status="gone"}'] == 1
    assert found['tenfold_request_seconds_count{route="/predict"}'] == 3

"""Answers under load are those of an idle server; what is too much is refused at once."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served import Client, encoded, noise
from small import wait_for

from tenfold.inference.answers import answer
from tenfold.inference.contract import read_contract
from tenfold.inference.predictor import OnnxPredictor
from tenfold.serving import engine as engine_module
from tenfold.serving.engine import LARGEST_BATCH, SMALL, Engine
from tenfold.serving.limits import Limits
from tenfold.serving.refusals import Refused

PICTURES = [encoded(noise(8 + seed % 5, seed)) for seed in range(40)]


class Gated:
    """A predictor that waits until it is let go on."""

    name, batch = "gated", 8

    def __init__(self, predictor):
        self.predictor, self.gate, self.sizes = predictor, threading.Event(), []
        self.gate.set()

    def logits(self, pixels):
        self.sizes.append(len(pixels))
        assert self.gate.wait(60)
        return self.predictor.logits(pixels)

    def probabilities(self, logits):
        return self.predictor.probabilities(logits)


@pytest.fixture
def gated(exported, monkeypatch):
    """An engine whose model waits, in its thread, and that predictor."""
    monkeypatch.setattr(engine_module, "QUICK", 0)
    predictor = Gated(OnnxPredictor(exported))
    engine = Engine(read_contract(exported), predictor, Limits(waiting=12), lambda _: None)
    predictor.sizes.clear()
    yield engine, predictor
    predictor.gate.set()
    engine.close()


def test_served_answers_are_those_of_predict(client, exported):
    contract, predictor = read_contract(exported), OnnxPredictor(exported)
    for picture in PICTURES[:10]:
        pixels = contract.pixels(picture)[None]
        expected = next(answer(contract, predictor, pixels, predictor.logits(pixels), [""]).records())
        assert client.predict(picture).json == json.loads(json.dumps(expected))


def test_answers_under_load_are_those_of_an_idle_server(client):
    idle = [client.predict(picture).json for picture in PICTURES]
    with ThreadPoolExecutor(16) as pool:
        busy = list(pool.map(lambda picture: client.predict(picture).json, PICTURES * 10))
    for one, other in zip(idle * 10, busy, strict=True):
        assert {key: one[key] for key in ("predicted", "unsure", "unlike")} == {
            key: other[key] for key in ("predicted", "unsure", "unlike")
        }
        np.testing.assert_allclose(
            list(one["probabilities"].values()), list(other["probabilities"].values()), atol=1e-5
        )


def test_what_comes_while_the_model_runs_goes_together(gated):
    engine, predictor = gated

    async def ask():
        predictor.gate.clear()
        first = asyncio.create_task(engine.ask(PICTURES[0]))
        while not predictor.sizes:
            await asyncio.sleep(0.01)
        others = [asyncio.create_task(engine.ask(picture)) for picture in PICTURES[1:11]]
        await asyncio.sleep(0.3)
        predictor.gate.set()
        return await asyncio.gather(first, *others)

    answers = asyncio.run(ask())
    assert predictor.sizes == [1, LARGEST_BATCH, 2]
    contract, own = read_contract_of(engine)
    for picture, (pixels, logits) in zip(PICTURES, answers, strict=False):
        np.testing.assert_array_equal(pixels, contract.pixels(picture)[None])
        np.testing.assert_allclose(logits, own.logits(contract.pixels(picture)[None]), atol=1e-4)


def test_an_idle_server_answers_small_pictures_on_the_spot_and_all_others_in_its_threads(exported):
    where = []

    class Watched(OnnxPredictor):
        def logits(self, pixels):
            where.append(threading.current_thread().name)
            return super().logits(pixels)

    engine = Engine(read_contract(exported), Watched(exported), Limits(), lambda _: None)
    here = threading.current_thread().name

    async def ask(*pictures):
        where.clear()
        engine.seconds_an_image = 1e-4
        return await asyncio.gather(*(engine.ask(picture) for picture in pictures))

    large = encoded(noise(300, 0))
    assert len(large) > SMALL
    found = asyncio.run(ask(PICTURES[0]))
    assert where == [here]
    together = asyncio.run(ask(*PICTURES[:5]))
    assert set(where) == {"model"}
    np.testing.assert_allclose(together[0][1], found[0][1], atol=1e-4)
    asyncio.run(ask(large))
    assert where == ["model"]
    with pytest.raises(Refused) as caught:
        asyncio.run(ask(PICTURES[0][:60]))
    assert caught.value.status == 422
    engine.seconds_an_image = engine_module.QUICK
    where.clear()
    asyncio.run(engine.ask(PICTURES[0]))
    assert where == ["model"]
    engine.close()


def read_contract_of(engine):
    return engine.contract, engine.predictor.predictor


def test_more_than_may_wait_is_refused_at_once(gated):
    engine, predictor = gated

    async def ask():
        predictor.gate.clear()
        waiting = [asyncio.create_task(engine.ask(picture)) for picture in PICTURES[:12]]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(Refused) as caught:
            await engine.ask(PICTURES[12])
        assert time.monotonic() - began < 0.1
        predictor.gate.set()
        await asyncio.gather(*waiting)
        assert engine.pending == 0
        await engine.ask(PICTURES[12])
        return caught.value

    refusal = asyncio.run(ask())
    assert refusal.status == 503
    assert int(refusal.headers["Retry-After"]) >= 1


def test_pictures_go_before_explanations(gated):
    engine, predictor = gated
    order = []

    async def ask():
        predictor.gate.clear()
        blank = np.zeros((24, 8, 8, 1), np.uint8)
        first = asyncio.create_task(engine.ask(PICTURES[0]))
        while not predictor.sizes:
            await asyncio.sleep(0.01)
        explanation = asyncio.create_task(engine.ask_patiently(blank))
        await asyncio.sleep(0.1)
        picture = asyncio.create_task(engine.ask(PICTURES[1]))
        await asyncio.sleep(0.1)
        explanation.add_done_callback(lambda _: order.append("explanation"))
        picture.add_done_callback(lambda _: order.append("picture"))
        predictor.gate.set()
        await asyncio.gather(first, explanation, picture)

    asyncio.run(ask())
    assert order == ["picture", "explanation"]
    assert predictor.sizes == [1, 1, 8, 8, 8]


def test_a_model_that_fails_once_fails_only_those(exported):
    predictor = Gated(OnnxPredictor(exported))
    engine = Engine(read_contract(exported), predictor, Limits(), lambda _: None)
    predictor.logits, kept = lambda _: 1 / 0, predictor.logits

    async def ask():
        with pytest.raises(ZeroDivisionError):
            await engine.ask(PICTURES[0])
        predictor.logits = kept
        return await engine.ask(PICTURES[0])

    assert asyncio.run(ask())[1].shape == (1, 10)
    assert engine.ready
    engine.close()
    assert not engine.ready


def test_a_failure_shows_no_trace(serve, monkeypatch, caplog):
    server = serve()
    monkeypatch.setattr(server.model.predictor, "logits", lambda _: 1 / 0)
    reply = Client(server.port).predict(PICTURES[0])
    assert reply.status == 500
    assert set(reply.json) == {"error"}
    assert "ZeroDivisionError" not in reply.body.decode()
    wait_for(lambda: "ZeroDivisionError" in caplog.text, seconds=10)  # The log follows the answer.


@pytest.mark.slow
def test_large_pictures_do_not_hold_up_small_ones(client):
    large = encoded(np.zeros((6000, 9000), np.uint8))
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(client.predict, large) for _ in range(4)]
        time.sleep(0.2)
        assert client.predict(PICTURES[0]).status == 200
        assert not all(reply.done() for reply in slow)
        assert {reply.result().status for reply in slow} == {200}

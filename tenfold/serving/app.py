"""The routes: what each request is answered with."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tenfold.core.errors import TenfoldError
from tenfold.inference.answers import answer
from tenfold.inference.predictor import softmax
from tenfold.serving import description
from tenfold.serving.corrections import Corrections
from tenfold.serving.engine import Engine
from tenfold.serving.guard import Guard
from tenfold.serving.limits import Limits
from tenfold.serving.meters import Measured, Meters
from tenfold.serving.model import Served
from tenfold.serving.occlusion import cells_for, covered, occlusion
from tenfold.serving.picture import png_address
from tenfold.serving.refusals import Refused, busy
from tenfold.serving.uploads import Receiver, Upload

PAGE = files("tenfold.serving") / "page"
KINDS = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "manifest.webmanifest": "application/manifest+json",
}
# Explanations that are being made or wait; each asks the model a hundred times.
EXPLAINING = 4
logger = logging.getLogger("tenfold.serving")

Handler = Callable[[Request], Awaitable[Response]]


class JSON(Response):
    """A JSON answer in UTF-8."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """`content` as bytes; NaN, which is no JSON, is an error."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class Service:
    """One model's answers; corrections go into the folder `corrections`, or are not taken without one."""

    def __init__(self, model: Served, limits: Limits, corrections: Path | None) -> None:
        self.name, self.facts = model.name, model.facts
        self.meters = Meters()
        self.engine = Engine(model.contract, model.predictor, limits, self.meters.batches.observe)
        self.corrections = Corrections(corrections, model.contract.class_names) if corrections else None
        self.receiver = Receiver(limits)
        self.explaining = 0
        self.one_explanation = asyncio.Semaphore(1)
        self.meters.watch_pending(lambda: self.engine.pending)

    async def predict(self, request: Request) -> Response:
        """`POST /predict`: the answer for one picture."""
        with self.receiver.upload() as body:
            upload = await body.picture(request)
            return JSON(await self._answer(upload))

    async def explain(self, request: Request) -> Response:
        """`POST /explain`: what the model was given, and which parts of it its answer rests on."""
        with self.receiver.upload() as body:
            upload = await body.picture(request)
            if self.explaining >= EXPLAINING:
                raise busy(self.explaining * 1.0)
            self.explaining += 1
            try:
                pixels = await self.engine.read(upload.contents)
                async with self.one_explanation:
                    return JSON(await self._explanation(pixels[0]))
            finally:
                self.explaining -= 1

    async def correct(self, request: Request) -> Response:
        """`POST /corrections`: keep a picture as one of the class `label`."""
        if self.corrections is None:
            raise Refused(403, "This server keeps no corrections.")
        with self.receiver.upload() as body:
            upload = await body.picture(request)
            if "label" not in upload.fields:
                raise Refused(400, "The form has no field called label: the class that the picture is of.")
            said = await self._answer(upload)
            kept = await asyncio.to_thread(
                self.corrections.add,
                upload.contents,
                upload.fields["label"],
                said["predicted"],
                said["probability"],
            )
            self.meters.corrections.inc()
            return JSON({**asdict(kept), "folder": self.corrections.folder.name}, 201)

    async def model(self, _: Request) -> Response:
        """`GET /model`: what the page and a program need to know before they ask."""
        contract = self.engine.contract
        channels, height, width = contract.image
        limits = self.engine.limits
        return JSON(
            {
                "name": self.name,
                "class_names": list(contract.class_names),
                "image": {"height": height, "width": width, "channels": channels},
                "largest_bytes": limits.image_bytes,
                "largest_pixels": limits.pixels,
                "corrections": None if self.corrections is None else str(self.corrections.folder),
                **self.facts,
            }
        )

    async def health(self, _: Request) -> Response:
        """`GET /health`: the process is alive."""
        return JSON({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """`GET /ready`: the model is loaded and answers."""
        if not self.engine.ready:
            raise busy(1)
        return JSON({"status": "ready"})

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`, for Prometheus."""
        return Response(self.meters.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, _: Request) -> Response:
        """`GET /openapi.json`: all this, described."""
        return JSON(description.openapi(self.name, self.engine.contract.class_names))

    async def _answer(self, upload: Upload) -> dict[str, Any]:
        pixels, logits = await self.engine.ask(upload.contents)
        contract, predictor = self.engine.contract, self.engine.predictor
        record = next(answer(contract, predictor, pixels, logits, [upload.name]).records())
        self.meters.answers.labels(record["predicted"]).inc()
        for kind in ("unsure", "unlike"):
            if record[kind]:
                self.meters.doubts.labels(kind).inc()
        return record

    async def _explanation(self, pixels: np.ndarray) -> dict[str, Any]:
        cells = cells_for(self.engine.seconds_an_image)
        copies = await asyncio.to_thread(covered, pixels, cells)
        logits = await self.engine.ask_patiently(np.concatenate([pixels[None], copies]))
        contract = self.engine.contract
        shares = softmax(logits, contract.temperature)
        named = int(logits[0].argmax())
        found = occlusion(float(shares[0, named]), shares[1:, named].astype(np.float64))
        return {
            "predicted": contract.class_names[named],
            "picture": png_address(pixels),
            "heat": [[round(float(value), 3) for value in row] for row in found.heat],
            "drop": found.drop,
            "decisive": found.decisive,
        }


def build_app(service: Service, token: str | None) -> ASGIApp:
    """The ASGI application of `service`; with a `token`, only for those who know it."""
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/health", service.health),
        ("GET", "/ready", service.ready),
        ("GET", "/model", service.model),
        ("GET", "/metrics", service.metrics),
        ("GET", "/openapi.json", service.openapi),
        ("POST", "/predict", service.predict),
        ("POST", "/explain", service.explain),
        ("POST", "/corrections", service.correct),
        ("GET", "/", _page("index.html")),
        *(("GET", f"/{name}", _page(name)) for name in KINDS if name != "index.html"),
    ]
    app = Starlette(
        routes=[Route(path, handler, methods=[method]) for method, path, handler in routes],
        exception_handlers={
            Refused: _refused,
            TenfoldError: _failed,
            HTTPException: _unknown,
            ClientDisconnect: _gone,
            Exception: _crashed,
        },
    )

    async def refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        await _refusal(refused)(scope, receive, send)

    guarded = Guard(app, token, refuse)
    return Measured(guarded, service.meters, frozenset(path for _, path, _ in routes))


def _page(name: str) -> Handler:
    contents = (PAGE / name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(contents, headers={"Content-Type": KINDS[name], "Cache-Control": "no-cache"})

    return page


def _refusal(refused: Refused) -> Response:
    return JSON({"error": refused.reason}, refused.status, refused.headers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _refusal(error)


async def _failed(_: Request, error: Exception) -> Response:
    """What the server could not do: the reason is for whoever runs it, since it names files of this machine."""
    logger.error("%s", error)
    return JSON({"error": "The server could not do this; its own output says why."}, 500)


async def _unknown(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSON({"error": str(error.detail)}, error.status_code, dict(error.headers or {}))


async def _gone(_: Request, __: Exception) -> Response:
    """The client closed the connection; nobody reads this."""
    return Response(status_code=499)


async def _crashed(_: Request, __: Exception) -> Response:
    """Starlette raises the error again behind this answer, so the server's own output has its traceback."""
    return JSON({"error": "The server failed at this request; its own output says why."}, 500)

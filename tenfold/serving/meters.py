"""What the server counts, in Prometheus' text format."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Meters:
    """The metrics of one server; a registry of its own, so that several may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tenfold_requests",
            "Requests, by route and HTTP status.",
            ("route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "tenfold_request_seconds",
            "Seconds from a request's header to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "tenfold_batch_images",
            "Images in one run of the model.",
            buckets=(1, 2, 3, 4, 5, 6, 7, 8),
            registry=self.registry,
        )
        self.answers = Counter(
            "tenfold_answers", "Answers, by the class named.", ("predicted",), registry=self.registry
        )
        self.doubts = Counter(
            "tenfold_doubts",
            "Answers that are unsure, or unlike the training images.",
            ("kind",),
            registry=self.registry,
        )
        self.corrections = Counter(
            "tenfold_corrections", "Answers that a person has corrected.", registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def watch_pending(self, pending: Callable[[], int]) -> None:
        """Report `pending()` as the number of pictures that wait for their answer."""
        gauge = Gauge(
            "tenfold_pending_images", "Pictures that wait for their answer.", registry=self.registry
        )
        gauge.set_function(pending)

    def text(self) -> bytes:
        """All metrics as they stand."""
        return generate_latest(self.registry)


class Measured:
    """Counts and times the requests of `app`, under the names of `routes`; all other paths are "other"."""

    def __init__(self, app: ASGIApp, meters: Meters, routes: frozenset[str]) -> None:
        self.app, self.meters, self.routes = app, meters, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self.routes else "other"
        status, began = "gone", time.perf_counter()

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            self.meters.requests.labels(route, status).inc()
            self.meters.seconds.labels(route).observe(time.perf_counter() - began)

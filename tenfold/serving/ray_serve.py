"""The same service as replicas on a Ray cluster: Ray Serve starts, watches and scales them.

    from ray import serve
    from tenfold.serving.ray_serve import serve_app

    serve.run(serve_app("exported/photos", replicas=(2, 8)))

or `serve run tenfold.serving.ray_serve:build run=exported/photos replicas=2`.
"""

import os
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from tenfold.core.errors import InputError
from tenfold.serving.limits import Limits


def serve_app(
    run: str | Path,
    *,
    replicas: int | tuple[int, int] = 2,
    cpus: float = 1,
    token: str | None = None,
    corrections: str | Path | None = None,
    limits: Limits | None = None,
) -> Application:
    """An application for `ray.serve.run`: the page and the JSON interface of a run or an exported folder.

    `replicas`: so many, or between a least and a most, by load. `cpus`: what Ray sets aside for each. The folder
    `run` must be there on every node. `token` (default: TENFOLD_TOKEN) is what clients must send; without one, only
    those may ask who call the server localhost. `corrections` is a folder that all nodes share; without one, none are
    taken.
    Raises InputError for numbers that make no sense.
    """
    low, high = replicas if isinstance(replicas, tuple) else (replicas, replicas)
    if not 1 <= low <= high or cpus <= 0:
        raise InputError(
            f"serve_app: replicas={replicas}, cpus={cpus}: expected 1 <= least <= most, and cpus > 0."
        )
    bounds = limits or Limits()
    folder, kept = str(run), None if corrections is None else str(corrections)
    token = token or os.environ.get("TENFOLD_TOKEN") or None

    def application() -> ASGIApp:
        from tenfold.serving.app import Service, build_app
        from tenfold.serving.model import open_served

        return build_app(Service(open_served(folder), bounds, Path(kept) if kept else None), token)

    number: dict[str, Any] = {"num_replicas": low}
    if high > low:
        number = {"autoscaling_config": {"min_replicas": low, "max_replicas": high}}
    deployment: Any = serve.deployment(
        serve.ingress(application)(),
        name="tenfold",
        max_ongoing_requests=2 * bounds.waiting,
        ray_actor_options={"num_cpus": cpus},
        **number,
    )
    return deployment.bind()


def build(options: dict[str, str]) -> Application:
    """`serve_app` for `serve run`, whose KEY=VALUE words are `options`: run, replicas (N or LEAST-MOST), cpus, ..."""
    unknown = options.keys() - {"run", "replicas", "cpus", "corrections"}
    if unknown or "run" not in options:
        raise InputError(
            f"serve run: expected run=FOLDER [replicas=N] [cpus=N] [corrections=DIR], got {options}"
        )
    try:
        low, _, high = options.get("replicas", "2").partition("-")
        replicas, cpus = (int(low), int(high or low)), float(options.get("cpus", "1"))
    except ValueError:
        raise InputError(f"serve run: expected numbers, as in replicas=2-8 cpus=1, got {options}") from None
    return serve_app(options["run"], replicas=replicas, cpus=cpus, corrections=options.get("corrections"))

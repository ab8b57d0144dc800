"""The same service as replicas on a Ray cluster: Ray Serve starts, watches and scales them.

    from ray import serve
    from tenfold.serving.ray_serve import serve_app

    serve.run(serve_app("exported/photos", replicas=(2, 8)))

or `serve run tenfold.serving.ray_serve:build run=exported/photos replicas=2`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from tenfold.core.errors import InputError
from tenfold.serving.limits import Limits

if TYPE_CHECKING:
    from torch import nn

    from tenfold.models import OwnModel
    from tenfold.models.own import Make


def serve_app(
    run: str | Path,
    *,
    replicas: int | tuple[int, int] = 2,
    cpus: float = 1,
    token: str | None = None,
    corrections: str | Path | None = None,
    limits: Limits | None = None,
    model: "nn.Module | Make | OwnModel | None" = None,
) -> Application:
    """An application for `ray.serve.run`: the page and the JSON interface of a run or an exported folder.

    `replicas`: so many, or between a least and a most, by load. `cpus`: what Ray sets aside for each. The folder
    `run` must be there on every node. `token` (default: TENFOLD_TOKEN) is what clients must send; without one, only
    those may ask who call the server localhost. `corrections` is a folder that all nodes share; without one, none are
    taken. `model`: see `load_run`; it travels to the replicas, and what it imports must be on every node.
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
    own = _own(model)

    def application() -> ASGIApp:
        return replica(folder, bounds, kept, token, own)

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


def replica(
    folder: str, limits: Limits, corrections: str | None, token: str | None, own: "OwnModel | None"
) -> ASGIApp:
    """What each replica serves; the arguments come to it from where `serve_app` was called."""
    from tenfold.serving.app import Service, build_app
    from tenfold.serving.model import open_served

    kept = Path(corrections) if corrections else None
    return build_app(Service(open_served(folder, own), limits, kept), token)


def build(options: dict[str, str]) -> Application:
    """`serve_app` for `serve run`, whose KEY=VALUE words are `options`: run, replicas (N or LEAST-MOST), cpus, ...

    A module of the user's own is named as on `tenfold`'s command line: model=MODULE:NAME trust_code=yes.
    """
    unknown = options.keys() - {"run", "replicas", "cpus", "corrections", "model", "trust_code"}
    if unknown or "run" not in options or options.get("trust_code", "yes") != "yes":
        raise InputError(
            "serve run: expected run=FOLDER [replicas=N] [cpus=N] [corrections=DIR] [model=MODULE:NAME "
            f"trust_code=yes], got {options}"
        )
    try:
        low, _, high = options.get("replicas", "2").partition("-")
        replicas, cpus = (int(low), int(high or low)), float(options.get("cpus", "1"))
    except ValueError:
        raise InputError(f"serve run: expected numbers, as in replicas=2-8 cpus=1, got {options}") from None
    model = _named(options["model"], "trust_code" in options) if "model" in options else None
    return serve_app(
        options["run"], replicas=replicas, cpus=cpus, corrections=options.get("corrections"), model=model
    )


def _own(model: "nn.Module | Make | OwnModel | None") -> "OwnModel | None":
    if model is None:
        return None
    from tenfold.models import given_model  # PyTorch, which an exported folder does without

    return given_model(model)


def _named(code: str, trusted: bool) -> "OwnModel | None":
    from tenfold.models import named_model

    return named_model(code, trusted)

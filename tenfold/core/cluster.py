"""The one place that joins a Ray cluster: for workers that learn together, a sweep's trials, and predictions."""

import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from tenfold.core.errors import InputError

# Beginnings of the variables that a command hands on to its processes on the nodes.
_HANDED_ON = ("TENFOLD_", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "HF_TOKEN", "HF_ENDPOINT")
# How long to wait for an answer from the cluster's address, in seconds.
ANSWER = 5.0


def need_ray(part: str = "ray") -> Any:
    """Ray, or a part of it such as `ray.train.torch`. Raises InputError, which names the extra, where it lacks."""
    try:
        return import_module(part)
    except ImportError as error:
        raise InputError(
            f"--cluster needs Ray ({first_line(error)}). Install it with `pip install 'tenfold[cluster]'`."
        ) from None


def prepare(address: str) -> None:
    """Set what Ray reads from the environment only once, when it is first imported; what is set already stays."""
    os.environ.update({name: text for name, text in _settings(address) if name not in os.environ})


def _settings(address: str) -> Iterator[tuple[str, str]]:
    if address.startswith(("127.", "localhost:", "local")):
        # Otherwise Ray takes the loopback address for the machine's outer one.
        yield "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"
    if address == "local" and "ray" not in sys.modules:
        yield "RAY_AUTH_MODE", "token"
        yield "RAY_AUTH_TOKEN", secrets.token_hex(32)


def connect(address: str, variables: Mapping[str, str] | None = None) -> Any:
    """Ray, connected to the cluster at `address`, whose processes get the environment `variables`.

    "local" starts a cluster on this machine, on the loopback interface, without dashboard and with a token of its
    own; "auto" is the one of this machine. Raises InputError where nothing answers.
    """
    prepare(address)
    ray = need_ray()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if variables:
        options["runtime_env"] = {"env_vars": dict(variables)}
    if address == "local":
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **options)
        return ray
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdecimal()):
        raise InputError(
            f"--cluster {address}: expected HOST:PORT of the cluster's head node, auto, or local."
        )
    try:
        if address != "auto":
            socket.create_connection((host, int(port)), timeout=ANSWER).close()
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ray.exceptions.RayError) as error:
        raise InputError(
            f"--cluster {address}: the cluster cannot be reached ({first_line(error)}). Start one with "
            "`ray start --head` (see docs/scale.md), and give the address that it prints."
        ) from None
    return ray


def handed_on() -> dict[str, str]:
    """Those of this process's environment that its processes on the nodes need before they import anything."""
    return {name: text for name, text in os.environ.items() if name.startswith(_HANDED_ON)}


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

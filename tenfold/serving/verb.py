"""`serve` as the command line and Python call it."""

from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.core.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from tenfold.models import OwnModel
    from tenfold.models.own import Make
    from tenfold.serving.server import Server


def serve(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    corrections: str | Path | None = None,
    model: "nn.Module | Make | OwnModel | None" = None,
    start: bool = True,
) -> "Server":
    """Serve a run or an exported folder behind the program: a page for people at `.url`, JSON at `POST /predict`.

        with tenfold.serve("runs/photos-1", port=0) as server:
            print(server.url)
            server.wait()

    `host` other than this machine's own addresses asks clients for a token (`TENFOLD_TOKEN`, else a new one, which
    `.url` has). Corrections made on the page go into the folder `corrections` (default: corrections/NAME).
    `model`: see `load_run`. Without `start`, the port is open and the model loaded, and nothing is answered until
    the server's `run` or `start` is called. Raises InputError where the extra `serve` is not installed, the port is
    taken, or the folder holds no model.
    """
    try:
        from tenfold.serving.server import Server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "tenfold":
            raise
        raise InputError(
            f"serve: the package {error.name} is not installed. `pip install 'tenfold[serve]'` brings it."
        ) from None
    own = None
    if model is not None:
        from tenfold.models import given_model

        own = given_model(model)
    server = Server(run, host=host, port=port, corrections=corrections, own=own)
    return server.start() if start else server

"""The exported folder of a run on the digits, and a server of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from served import FIXTURES, GOOD, Client

pytest.importorskip("uvicorn", reason="needs the extra serve: pip install 'tenfold[serve]'")


@pytest.fixture(scope="session")
def exported(once) -> Path:
    """An exported folder: model.onnx and inference.json, nothing else."""
    return once("exported", _export)[0] / "digits"


def _export(root: Path) -> None:
    from tenfold.inference.calibrate import calibrate, learn_familiarity
    from tenfold.inference.contract import Contract
    from tenfold.inference.familiarity import Seen, pixel_statistics
    from tenfold.inference.onnx_model import write_onnx
    from tenfold.inference.predictor import OnnxPredictor
    from tenfold.runs.folder import load_run

    folder = root / "digits"
    folder.mkdir()
    run = load_run(FIXTURES / "digits-0.1")
    model, splits, answers = run.model(), run.splits(), run.predictions("validation")
    write_onnx(model, folder / "model.onnx", run.class_names)
    predictor = OnnxPredictor(folder)
    images = [split.images(slice(0, None)) for split in (splits.train, splits.validation)]
    train, validation = (Seen(predictor.logits(pixels), pixel_statistics(pixels)) for pixels in images)
    Contract(
        run.class_names,
        model.image_shape,
        calibration=calibrate(answers.labels, answers.probabilities),
        familiarity=learn_familiarity(train, train.statistics, validation),
    ).write(folder)


@pytest.fixture
def serve(exported: Path, tmp_path: Path) -> Iterator[Callable]:
    """Start servers on free ports; all are stopped in the end."""
    from tenfold.serving.server import Server

    servers = []

    def start(run: Path = exported, **options):
        server = Server(run, port=0, **{"corrections": tmp_path / "corrections", **options})
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def client(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Requests to a server that all tests of a file share."""
    from tenfold.serving.server import Server

    with Server(exported, port=0, corrections=tmp_path_factory.mktemp("corrections")) as server:
        yield Client(server.start().port)


@pytest.fixture
def still_answering(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test sent, a good picture is answered after it."""
    yield
    if "client" in request.fixturenames:
        assert request.getfixturevalue("client").predict(GOOD).status == 200

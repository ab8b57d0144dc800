"""The OpenAPI description says what the server does: schemathesis asks it all it can think of."""

import pytest
from served import Client, encoded, noise

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: pip install schemathesis")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def description(client):
    return client.get("/openapi.json").json


def test_it_is_valid_and_names_every_route(description, client):
    from tenfold.serving import app

    assert description["openapi"].startswith("3.1")
    assert set(description["paths"]) == {
        "/predict",
        "/explain",
        "/corrections",
        "/model",
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
    }
    assert app.PAGE.is_dir()
    for path, operations in description["paths"].items():
        for method in operations:
            assert client.request(method.upper(), path).status != 404
    operation = description["paths"]["/predict"]["post"]
    assert {"200", "400", "403", "408", "413", "415", "422", "503"} <= set(operation["responses"])


@pytest.mark.slow
def test_schemathesis_finds_no_difference(client, description):
    """Random requests, valid and not: no server error, only the statuses, types and shapes that are described."""
    from hypothesis import HealthCheck, Phase, given, settings, strategies
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_dict(description)
    schema.config.base_url = f"http://127.0.0.1:{client.port}"
    schemathesis.openapi.media_type("image/png", strategies.just(encoded(noise())))
    asked = []
    for operation in schema.get_all_operations():
        found = operation.ok()

        @settings(
            max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
        )
        @given(case=found.as_strategy())
        def check(case):
            # What bytes are a picture, a schema cannot say.
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
            asked.append((case.method, case.path, response.status_code))

        check()
    assert len({(method, path) for method, path, _ in asked}) == 8
    assert Client(client.port).predict(encoded(noise())).status == 200

"""The model card of an export."""

import pytest
import yaml

from tenfold import load_run


def test_the_card_has_the_hubs_header_and_the_runs_numbers(shapes):
    run = load_run(shapes)
    _, header, page = (shapes / "export" / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(header)
    assert about["license"] == "cc0-1.0"
    assert {"image-classification", "tenfold"} <= set(about["tags"])
    (result,) = about["model-index"][0]["results"]
    accuracy = run.metrics["test"]["accuracy"]
    assert result["metrics"][0]["value"] == pytest.approx(accuracy, abs=1e-6)
    assert result["dataset"]["name"] == "shapes"
    low, high = run.metrics["test"]["accuracy_ci95"]
    assert f"| accuracy | {accuracy:.2%} | {100 * low:.2f} to {high:.2%} |" in page
    assert "## Intended use" in page
    assert "## Limits" in page

import pytest
from constructed import digits_run

from tenfold.core.notebook import History, table_html
from tenfold.report import write_report
from tenfold.runs.folder import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return digits_run(tmp_path_factory.mktemp("runs") / "<b>digits")


@pytest.mark.slow
def test_a_run_shows_what_it_has(run, tmp_path):
    before = run._repr_html_()
    assert "test images right" in before
    assert "<img" not in before
    write_report(run, run.splits())
    after = run._repr_html_()
    assert "data:image/png;base64" in after
    assert "report.html" in after
    assert Run(tmp_path)._repr_html_() == f"<h4>{tmp_path.name}</h4>"


def test_names_are_escaped(run):
    assert "<b>digits" not in run._repr_html_()
    assert "&lt;b&gt;digits" in run._repr_html_()
    html = table_html([{"<i>key</i>": "<script>", "value": 0.123456}])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "0.1235" in html


def test_a_history_is_a_list_and_a_table(run):
    history = run.history
    assert isinstance(history, History)
    assert history == list(history)
    assert history._repr_html_().count("<tr>") == len(history) + 1
    assert table_html([]) == "<p>nothing yet</p>"

"""The documents' code: Python blocks run, `tenfold` lines are taken by the real command line, tables are whole."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from small import SHAPES, draw_pictures, small_recipe

from tenfold.cli import app
from tenfold.recipe import builtin_recipes

ROOT = Path(__file__).parent.parent
GUIDE = [ROOT / "README.md", ROOT / "docs" / "index.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
PAGES = [*GUIDE, *(ROOT / "docs" / f"{name}.md" for name in ("sweeps", "export", "serving", "data"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# These only look at things, so they are carried out too.
QUICK = ("recipes", "show", "inspect", "runs", "cache")


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in one of the languages."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for language, text in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """The words after `tenfold` of every such line in a page's shell blocks."""
    indented = re.findall(r"^    (tenfold .*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    fenced = [line for block in blocks(page, "", "bash", "console") for line in block.splitlines()]
    lines = [line for line in (*fenced, *indented) if re.match(r"(?:[A-Z_]+=\S+ )?tenfold ", line)]
    return [shlex.split(line.partition("tenfold ")[2], comments=True) for line in lines]


COMMANDS = [
    pytest.param(words, id=f"{page.stem}: {' '.join(words)}") for page in PAGES for words in commands(page)
]


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """An empty working folder with `photos/`, which the pages talk about."""
    monkeypatch.chdir(tmp_path)
    draw_pictures(tmp_path / "photos", ("cat", *SHAPES[:2]), 20)
    return tmp_path


def parsed(words: list[str]):
    """The context in which the command line would carry the words out; nothing is carried out."""
    group = typer.main.get_command(app)
    outer = group.make_context("tenfold", list(words), resilient_parsing=True)
    command = group.get_command(outer, words[0])
    assert command is not None, f"there is no command {words[0]!r}"
    return command.make_context(words[0], words[1:], parent=outer)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_one_that_the_command_line_takes(words):
    known = [word for word in words if word not in {"..."} and not re.fullmatch(r"\[.*\]?|.*\]", word)]
    context = parsed(known)
    recipe = (context.params.get("words") or [""])[0]
    if words[0] in {"train", "sweep", "show"} and "/" not in recipe and "=" not in recipe and recipe:
        assert recipe in builtin_recipes() or recipe == "photos"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=" ".join(words))
        for page in GUIDE
        for words in commands(page)
        if words[0] in QUICK
    ],
)
def test_commands_that_only_look_are_carried_out(words, photos):
    (photos / "runs").mkdir()
    with pytest.raises(SystemExit) as end:
        app(words, prog_name="tenfold")
    assert end.value.code in ((0, 1) if words[0] == "inspect" else (0,))


@pytest.mark.parametrize(
    "page", [page for page in GUIDE if blocks(page, "python")], ids=lambda page: page.stem
)
def test_python_runs_from_a_page_s_first_block_to_its_last(page, photos, finished_photos):
    names: dict[str, object] = {"__name__": "__main__"}
    for number, code in enumerate(blocks(page, "python"), start=1):
        exec(compile(code, f"{page.name}, block {number}", "exec"), names)


@pytest.fixture
def finished_photos(request, photos) -> None:
    """The run that a page speaks of where it does not train it itself."""
    if request.node.callspec.params["page"].stem == "predict":
        import tenfold

        recipe = small_recipe("fit.epochs=1")
        tenfold.train(recipe, data="photos", name="photos-1", progress=False)


def test_lines_of_the_readme_and_the_guide_are_short():
    long = [
        f"{page.name}:{number}"
        for page in GUIDE
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) >= 120
    ]
    assert long == []


def test_lines_of_prose_are_short_in_every_document():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    long = [
        f"{page.name}:{number}"
        for page in documents
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > 120 and not line.startswith("|")  # a row of a table cannot be broken
    ]
    assert len(documents) > 15
    assert long == []


def test_every_environment_variable_is_in_its_table():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tenfold").rglob("*.py"))
    table = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    assert set(re.findall(r"TENFOLD_[A-Z0-9]+", code)) == set(re.findall(r"TENFOLD_[A-Z0-9]+", table))


def test_the_tables_of_the_run_folder_and_its_metrics_are_whole(demo):
    page = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
    for path in demo.iterdir():
        assert f"`{path.name}{'/' if path.is_dir() else ''}" in page, path
    import tenfold

    keys = {key for key in tenfold.load_run(demo).metrics["test"] if not key.endswith("_ci95")}
    described = set(
        re.findall(r"`(\w+)`", page.partition("have the same keys")[2].partition("`training` has")[0])
    )
    assert keys == described

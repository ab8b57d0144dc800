"""The pages in a real browser: headless Chromium, found as TENFOLD_CHROMIUM or on the path."""

import csv

import numpy as np
import pytest
from chromium import DESK, NEEDS_CHROMIUM, PHONE
from constructed import digits_run, large_run
from corpus import troubled
from images import scene
from small import edit_recipe

from tenfold.comparison import compare
from tenfold.data import Source
from tenfold.data.inspect import inspect_source
from tenfold.recipe import Data
from tenfold.report import write_report
from tenfold.report.inspection import write_inspection
from tenfold.report.relabel import Suspect, write_relabel

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]
CLASSES = ["cat", "dog", "a, b"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Paths of a report, of a comparison, of a report with many classes, and of an inspection."""
    folder = tmp_path_factory.mktemp("runs")
    weak = digits_run(folder / "weak", strength=0.01)
    strong = digits_run(folder / "strong", strength=1, seed=1)
    edit_recipe(strong.path / "recipe.toml", "epochs = 20", "epochs = 21")
    large, splits = large_run(folder / "large", images=3000, classes=40)
    return {
        "report": write_report(weak, weak.splits()),
        "comparison": compare([weak.path, strong.path], folder / "comparison").page,
        "large": write_report(large, splits),
        "relabel": write_relabel(
            suspects(), np.stack([scene(n) for n in range(3)]), "run", CLASSES, folder / "r.html"
        ),
        "inspection": write_inspection(
            inspect_source(Data(), Source(str(troubled(folder / "pets")))), folder / "inspection.html"
        ),
    }


def suspects():
    """Three, of which the last has names that CSV and HTML take for something else."""
    names = [("a.png", "cat", "dog"), ("b.png", "dog", "cat"), ('c "1", <i>.png', "a, b", "cat")]
    return [Suspect(path, "train", said, other, 0.97, row) for row, (path, said, other) in enumerate(names)]


@pytest.fixture
def visit(browser, pages):
    """Open a page; whatever it says on the console, throws or asks for is a failure in the end."""
    contexts, faults = [], []

    def open_page(name, viewport=DESK, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda request: faults.append(request.url) if _outside(request.url) else None)
        page.goto(pages[name].as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def _outside(url):
    return not url.startswith(("file:", "data:", "blob:"))


@pytest.mark.parametrize("name", ["report", "comparison", "large", "inspection", "relabel"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_open_silently_and_fit_the_screen(visit, name, viewport, scheme):
    page = visit(name, viewport, color_scheme=scheme)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"]
    broken = page.evaluate("[...document.images].filter((image) => !image.naturalWidth).length")
    assert broken == 0


def test_labels_are_confirmed_changed_and_saved_by_keyboard(visit, tmp_path):
    page = visit("relabel")
    page.keyboard.press("Enter")  # takes the suggestion
    page.keyboard.press("Backspace")  # keeps
    page.keyboard.press("Tab")  # into the third one's label
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("doge")
    page.keyboard.press("Enter")
    assert page.locator("#count").text_content() == "2 changed"
    page.keyboard.press("s")
    assert page.evaluate("document.activeElement.validationMessage") == "This is none of the classes."
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "changes.csv"
    download.value.save_as(tmp_path / "changes.csv")
    with (tmp_path / "changes.csv").open(newline="", encoding="utf-8") as lines:
        assert list(csv.DictReader(lines)) == [
            {"path": "a.png", "label": "dog"},
            {"path": 'c "1", <i>.png', "label": "dog"},
        ]


def test_layers_and_recipe_are_folded_and_open(visit):
    page = visit("large")
    folds = page.locator("details.fold")
    assert folds.count() >= 2
    assert page.locator("details.fold[open]").count() == 0
    height = page.evaluate("document.documentElement.scrollHeight")
    folds.first.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollHeight") > height + 100


def test_the_verdict_and_its_numbers_stand_side_by_side_on_a_desk_and_above_each_other_on_a_phone(visit):
    for viewport, beside in ((DESK, True), (PHONE, False)):
        page = visit("report", viewport)
        lead, tiles = (page.locator(f"#verdict {part}").bounding_box() for part in (".lead", ".tiles"))
        assert (tiles["x"] >= lead["x"] + lead["width"]) == beside
        assert (tiles["y"] >= lead["y"] + lead["height"]) != beside
        main = page.locator("main").bounding_box()
        right = max(lead["x"] + lead["width"], tiles["x"] + tiles["width"])
        assert main["x"] + main["width"] - right < 30, "nothing is left empty on the right"


def test_a_figure_wider_than_a_phone_says_so(visit):
    hint = "getComputedStyle(document.querySelector('.wide'), '::after').content"
    assert "swipe" in visit("report", PHONE).evaluate(hint)
    assert visit("report", DESK).evaluate(hint) == "none"


def test_the_matrix_sets_right_apart_from_wrong_and_shades_every_share(visit):
    page = visit("report")
    colours, wrong = (
        page.locator(f".matrix td.{kind}").evaluate_all(
            "(cells) => cells.map((cell) => getComputedStyle(cell).backgroundColor)"
        )
        for kind in ("hit", "miss")
    )
    assert len(colours) == 10
    assert len(set(colours)) > 4, "no steps"
    hue = [set(colour.split(",")[0] for colour in each) for each in (colours, wrong)]
    assert not hue[0] & hue[1]
    assert page.locator(".matrix .key").is_visible()


def test_a_cell_opens_its_images_and_closes_again(visit):
    page = visit("report")
    cell = page.locator(".matrix [data-cell]").first
    row, column = cell.get_attribute("data-cell").split("-")
    cell.click()
    dialog = page.locator("#viewer")
    assert dialog.is_visible()
    shown = page.evaluate(f"data.cells['{row}-{column}'].length")
    assert dialog.locator(".t").count() == shown > 0
    background = dialog.locator(".t").first.evaluate("(element) => getComputedStyle(element).backgroundImage")
    assert background.startswith('url("data:image/webp')
    close = dialog.get_by_role("button", name="Close")
    title = dialog.locator("h2").bounding_box()
    box = close.bounding_box()
    assert box["height"] < 45, "on one line"
    assert box["x"] >= title["x"] + title["width"]
    close.click()
    assert not dialog.is_visible()
    cell.click()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_the_matrix_is_one_stop_of_the_tab_key_and_walks_by_arrows(visit):
    page = visit("report")
    assert page.locator('.matrix button[tabindex="0"]').count() == 1
    matrix = np.array(page.evaluate("data.matrix"))
    column = next(k for k in range(10) if np.count_nonzero(matrix[:, k]) > 1)
    first, second = np.flatnonzero(matrix[:, column])[:2]
    page.locator(f'.matrix [data-cell="{first}-{column}"]').focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.cell") == f"{second}-{column}"
    assert page.locator('.matrix button[tabindex="0"]').count() == 1
    page.keyboard.press("Enter")
    assert page.locator("#viewer").is_visible()


def test_a_finding_opens_its_images(visit):
    page = visit("large")
    page.locator("[data-tiles]").first.click()
    assert page.locator("#viewer .t").count() > 0


def test_a_heading_sorts_the_classes_both_ways(visit):
    page = visit("report")
    table = page.locator("#classes table").last
    heading = table.get_by_role("button", name="Recall")
    for state in ("ascending", "descending"):
        heading.click()
        assert heading.locator("..").get_attribute("aria-sort") == state
        values = table.locator("tbody tr td:nth-child(3)").evaluate_all(
            "(cells) => cells.map((c) => +c.dataset.value)"
        )
        assert values == sorted(values, reverse=state == "descending")


def test_dark_mode_is_dark_and_print_is_light(visit, tmp_path):
    page = visit("report", color_scheme="dark")
    assert _brightness(page) < 60
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000
    page.emulate_media(media="print", color_scheme="light")
    assert _brightness(page) > 240
    assert page.locator("nav").is_hidden()
    assert page.locator(".matrix table").is_visible()
    assert page.get_by_text("Arrow keys move").is_hidden()
    assert page.get_by_text("a heading sorts").first.is_hidden()


def _brightness(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return np.mean([int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")])


def test_without_scripts_the_matrix_is_a_picture(visit):
    page = visit("report", java_script_enabled=False)
    assert page.get_by_role("img", name="Confusion matrix").is_visible()


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("report", "light"),
        ("report", "dark"),
        ("comparison", "dark"),
        ("large", "light"),
        ("inspection", "light"),
    ],
)
def test_axe_finds_nothing_serious(visit, pages, browser, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    # axe runs its script inside the page, which the page's own policy would forbid.
    context = browser.new_context(viewport=DESK, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(pages[name].as_uri())
    if name == "report":
        page.locator(".matrix [data-cell]").first.click()
        closed = _serious(axe.Axe().run(page))
        page.keyboard.press("Escape")
        assert closed == []
    found = _serious(axe.Axe().run(page))
    context.close()
    assert found == []


def _serious(results):
    return [
        (fault["id"], fault["nodes"][0]["html"][:200], len(fault["nodes"]))
        for fault in results.response["violations"]
        if fault["impact"] in {"serious", "critical"}
    ]

"""The page in a real browser: headless Chromium, found as TENFOLD_CHROMIUM or on the path."""

import base64
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from chromium import DESK, NEEDS_CHROMIUM, PHONE
from served import Client, encoded, noise

from tenfold.serving.server import Server

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(exported, tmp_path_factory):
    """A server that all tests of the page share."""
    with Server(exported, port=0, corrections=tmp_path_factory.mktemp("corrections")) as running:
        yield running.start()


@pytest.fixture
def pictures(tmp_path):
    """Paths of three picture files."""
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"picture {seed}.png")
        paths[-1].write_bytes(encoded(noise(seed=seed)))
    return paths


@pytest.fixture
def visit(browser, server):
    """Open the page; whatever it throws or asks of another server is a failure in the end."""
    contexts, faults = [], []

    def open_page(viewport=DESK, url=server.url, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        # A refused picture is on the console too, as the browser's own note of the status.
        page.on(
            "console",
            lambda message: faults.append(message.text) if "Failed to load" not in message.text else None,
        )
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda request: faults.append(request.url) if _outside(request.url, url) else None)
        page.goto(url)
        page.locator("#about:not(:empty)").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def _outside(address, url):
    return not address.startswith((url.partition("?")[0], "data:", "blob:"))


def choose(page, *paths):
    before = page.locator("#history li").count()
    page.set_input_files("#file", [str(path) for path in paths])
    page.locator("#history li").nth(before + len(paths) - 1).wait_for()


def give(page, event, name, contents, kind="image/png"):
    """Drop or paste a file, as the browser would."""
    page.evaluate(
        """([event, name, text, kind]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            if (name) data.items.add(new File([bytes], name, { type: kind }));
            else data.setData("text/plain", "only words");
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(event === "paste"
                ? new ClipboardEvent("paste", { ...options, clipboardData: data })
                : new DragEvent(event, { ...options, dataTransfer: data }));
        }""",
        [event, name, base64.b64encode(contents).decode(), kind],
    )


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_answers_and_fits_the_screen(visit, server, pictures, viewport, scheme):
    page = visit(viewport, color_scheme=scheme)
    choose(page, *pictures)
    said = Client(server.port).form(pictures[-1].read_bytes()).json
    assert page.locator("#verdict span").first.inner_text() == said["predicted"]
    bars = page.locator("#bars progress").evaluate_all("(bars) => bars.map((bar) => bar.value)")
    assert bars == sorted(said["probabilities"].values(), reverse=True)[:6]
    remarks = page.locator("#remarks").inner_text().lower()
    assert ("unsure" in remarks) == bool(said["unsure"])
    assert ("unlike" in remarks) == bool(said["unlike"])
    page.locator("#more").click()
    assert page.locator("#bars li").count() == 10
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.evaluate("[...document.images].filter((image) => !image.naturalWidth).length") == 0
    assert (_brightness(page) < 60) == (scheme == "dark")


def _brightness(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return np.mean([int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")])


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_drop_and_paste(visit, event):
    page = visit()
    give(page, event, "dropped.png", encoded(noise()))
    page.locator("#history li").first.wait_for()
    assert page.locator("#caption").inner_text() == "dropped.png"
    give(page, event, "", b"")
    page.locator("#error:not([hidden])").wait_for()
    assert "no picture" in page.locator("#error").inner_text()


def test_a_file_over_the_page_shows_where_to_drop_it(visit):
    page = visit()
    give(page, "dragenter", "x.png", b"x")
    assert page.locator("#veil").is_visible()
    give(page, "dragleave", "x.png", b"x")
    assert page.locator("#veil").is_hidden()


def test_the_keyboard_alone_does_it_all(visit, server, pictures):
    page = visit()
    # The browser hands choosers over from some time after the first one who listens: early enough for the key below.
    page.on("filechooser", lambda _: None)
    for _ in range(2):  # past the link that skips to the picture
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(str(pictures[0]))
    page.locator("#history li").first.wait_for()
    _tab_to(page, "look")
    page.keyboard.press("Space")
    page.locator("#look[aria-pressed=true]").wait_for()
    assert page.locator("#look-note").is_visible()
    _tab_to(page, "label")
    page.keyboard.press("7")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#corrected:not(:empty)").wait_for()
    rows = (server.service.corrections.folder / "corrections.csv").read_text().splitlines()
    assert rows[-1].startswith("7/")
    assert "corrected: 7" in page.locator("#history").inner_text()


def _tab_to(page, target):
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == target:
            return
    raise AssertionError(f"{target} cannot be reached by the Tab key")


def test_the_map_lies_over_the_picture_that_the_model_got(visit, digits, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(encoded(digits.test.images(slice(0, 1))[0, ..., 0]))
    page = visit()
    choose(page, path)
    page.locator("#look").click()
    page.locator("#look[aria-pressed=true]").wait_for()
    assert page.locator("#shown").get_attribute("src").startswith("data:image/png")
    box, drawn = page.locator("#shown").bounding_box(), page.locator("#heat").bounding_box()
    if drawn:  # a map is drawn only where some part decides
        assert abs(box["width"] - drawn["width"]) < 2
    page.locator("#look").click()
    assert page.locator("#shown").get_attribute("src").startswith("blob:")
    assert page.locator("#heat").is_hidden()


def test_history_opens_again_and_clears(visit, pictures):
    page = visit()
    choose(page, *pictures)
    page.locator("#history button").last.click()
    assert page.locator("#caption").inner_text() == "picture 0.png"
    assert page.evaluate("document.activeElement.id") == "answer"
    page.locator("#clear").click()
    assert page.locator("#past").is_hidden()
    assert page.locator("#answer").is_hidden()


def _bomb():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("notes.txt", b"hello", "no picture"),
        ("fake.png", b"hello", "not a picture in a known format"),
        ("empty.png", b"", "empty"),
        ("half.png", encoded(noise(64))[:900], "cannot be read"),
        ("bomb.png", _bomb(), "megapixels"),
        ("<img src=x onerror=alert(1)>.png", b"x", "<img src=x onerror=alert(1)>.png"),
    ],
)
def test_errors_are_said_and_the_next_picture_is_answered(visit, pictures, tmp_path, name, contents, words):
    page = visit()
    (tmp_path / name).write_bytes(contents)
    page.set_input_files("#file", str(tmp_path / name))
    page.locator("#error:not([hidden])").wait_for()
    assert words in page.locator("#error").inner_text()
    assert page.locator("#error").get_attribute("role") == "alert"
    choose(page, pictures[0])
    assert page.locator("#error").is_hidden()


def test_a_picture_that_a_browser_cannot_show_is_shown_as_the_model_got_it(visit, tmp_path):
    path = tmp_path / "scan.tif"
    path.write_bytes(encoded(noise(), "TIFF"))
    page = visit()
    choose(page, path)
    page.locator("#shown[src^='data:image/png']").wait_for()


def test_the_camera(visit):
    page = visit(permissions=["camera"])
    page.locator("#photograph").click()
    page.locator("#studio[open]").wait_for()
    end = time.monotonic() + 20
    while not page.evaluate("document.getElementById('live').videoWidth") and time.monotonic() < end:
        time.sleep(0.1)
    page.locator("#shoot").click()
    page.locator("#history li").first.wait_for()
    assert page.locator("#caption").inner_text().startswith("photo ")
    assert page.evaluate("document.getElementById('live').srcObject") is None


def test_a_phone_opens_its_own_camera(visit):
    page = visit(PHONE, has_touch=True, is_mobile=True)
    with page.expect_file_chooser() as chooser:
        page.locator("#photograph").tap()
    assert chooser.value.element.get_attribute("capture") == "environment"


def test_a_server_that_is_gone(visit, exported, pictures, tmp_path):
    with Server(exported, port=0, corrections=tmp_path) as other:
        page = visit(url=other.start().url)
    page.set_input_files("#file", str(pictures[0]))
    page.locator("#error:not([hidden])").wait_for()
    assert "does not answer" in page.locator("#error").inner_text()


def test_with_a_token_the_address_opens_the_page_and_hides_the_token(visit, serve, pictures):
    server = serve(token="a-token-of-my-own")
    page = visit(url=server.url)
    assert "token" not in page.url
    choose(page, pictures[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(browser, server, pictures, tmp_path, scheme, viewport):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    # axe runs its script inside the page, which the page's own policy would forbid.
    context = browser.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(server.url)
    page.locator("#about:not(:empty)").wait_for()
    found = [_violations(axe.Axe().run(page))]
    choose(page, *pictures)
    page.locator("#look").click()
    page.locator("#look[aria-pressed=true]").wait_for()
    (Path(tmp_path) / "x.png").write_bytes(b"text")
    page.set_input_files("#file", str(tmp_path / "x.png"))
    page.locator("#error:not([hidden])").wait_for()
    found.append(_violations(axe.Axe().run(page)))
    context.close()
    assert found == [[], []]


def _violations(results):
    return [
        (fault["id"], fault["nodes"][0]["html"][:200], len(fault["nodes"]))
        for fault in results.response["violations"]
    ]

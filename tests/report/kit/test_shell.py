"""One page with its style and script inside, and a policy that names them by their hashes alone."""

import base64
import hashlib

import jinja2
import pytest

from tenfold.report.kit.shell import chart_uri, page_style, render_page, sorting_script


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "page.html.jinja"
    path.write_text(
        '<meta content="{{ policy }}">{% for s in styles %}<style>{{ s }}</style>{% endfor %}'
        "<script>{{ script }}</script><p>{{ name }} {{ share | percent }}</p>"
    )
    return path


def test_names_are_escaped_and_style_and_script_are_not(template):
    page = render_page(template, styles=["a > b {}"], script="1 < 2", name="<b>&", share=0.5)
    assert "<p>&lt;b&gt;&amp; 50.0%</p>" in page
    assert "<style>a > b {}</style>" in page
    assert "<script>1 < 2</script>" in page


def test_the_policy_allows_just_them_and_no_request(template):
    page = render_page(template, styles=["a {}", "b {}"], script="x()", name="", share=0)
    policy = page.partition('content="')[2].partition('"')[0].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src {hashed('a {}')} {hashed('b {}')};" in policy
    assert f"script-src {hashed('x()')};" in policy


def test_a_style_cannot_end_itself(template):
    page = render_page(template, styles=["</style><script>bad()"], script="", name="", share=0)
    assert "</style><script>bad" not in page


def test_what_a_template_lacks_is_an_error(template):
    with pytest.raises(jinja2.UndefinedError, match="share"):
        render_page(template, styles=[], script="", name="")


def test_a_chart_is_an_address_that_holds_it():
    kind, _, data = chart_uri("<svg>größe</svg>").partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == "<svg>größe</svg>"
    assert "{" in page_style()
    assert "sort" in sorting_script()

"""Behaviour is declared: nothing in tenfold is found by an attribute's name in a string."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tenfold
from tenfold.data.batches import Feed
from tenfold.models import Classifier
from tenfold.training.method import Method

PACKAGE = Path(tenfold.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter", "methodcaller"}


def by_name(text: str) -> Iterator[str]:
    """Each use of what finds an attribute by a string, and `vars(...)["name"]`, with its line."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in BY_NAME:
                yield f"{node.lineno}: {name}"
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            looks = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "vars"
            if looks or (isinstance(node.value, ast.Attribute) and node.value.attr == "__dict__"):
                yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_is_found_by_a_string(path):
    found = list(by_name(path.read_text(encoding="utf-8")))
    assert not found, "declare the behaviour instead: a method with a default, a table, isinstance"


def test_every_way_to_find_something_by_a_string_would_be_seen():
    for text in (
        'getattr(x, "lr", None)',
        'hasattr(x, f"{name}")',
        'operator.attrgetter("a")',
        'vars(x)["a"]',
        'x.__dict__["a"]',
        "find = getattr",
    ):
        assert list(by_name(text)), text
    assert not list(by_name('x.lr; x["lr"]; vars(x)[name]'))


@pytest.mark.parametrize("contract", [Classifier, Feed, Method])
def test_a_contracts_methods_are_abstract_or_final(contract):
    import tenfold.training.begin  # everything that fulfils a contract in training

    assert tenfold.training.begin
    kinds = contract.__subclasses__()
    assert kinds
    for kind in kinds:
        named = {name for name in vars(kind) if not name.startswith("_")}
        assert not {name for name in named & {*dir(contract)} if name not in contract.__abstractmethods__}, (
            kind
        )

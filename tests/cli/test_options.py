"""Words of a command line as values: sources, recipes and overrides, and groups of options."""

import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from tenfold.cli.options import (
    OWN,
    FolderWords,
    OwnWords,
    ProcessWords,
    SourceWords,
    fetched,
    is_source,
    keywords,
    recipe_and_overrides,
    with_groups,
)
from tenfold.core.errors import InputError
from tenfold.workbench.cluster import Asked


@pytest.mark.parametrize(
    ("words", "recipe", "overrides"),
    [
        (None, None, []),
        (["digits"], "digits", []),
        (["digits", "fit.epochs=3"], "digits", ["fit.epochs=3"]),
        (["fit.epochs=3", "digits"], None, ["fit.epochs=3", "digits"]),
        (["https://a.org/b?c=d"], "https://a.org/b?c=d", []),
    ],
)
def test_the_first_word_without_a_sign_is_the_recipe(words, recipe, overrides):
    assert recipe_and_overrides(words) == (recipe, overrides)


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("photos", True),
        ("./gone", True),
        ("a/b", True),
        ("x.zip", True),
        ("labels.csv", True),
        ("digits", False),
        ("recipes/mine.toml", False),
        ("mine.toml", False),
    ],
)
def test_a_word_is_a_source_where_it_is_a_folder_or_written_as_one(word, is_one, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert is_source(word) is is_one


def test_places_that_are_no_addresses_stay_what_they_are():
    assert [fetched(place) for place in (None, "photos", "ftp://x")] == [None, "photos", "ftp://x"]


def test_groups_become_the_keywords_of_what_a_verb_calls():
    folders = FolderWords(labels="l.csv", train=["a", "b"])
    given = {"words": ["x"], "source": SourceWords("pets", folders), "own": OWN, "seed": 3}
    assert keywords(given) == {
        "data": "pets",
        "labels": "l.csv",
        "train": ["a", "b"],
        "validation": (),
        "test": (),
        "model": None,
        "seed": 3,
    }


def test_code_is_named_and_confirmed_together():
    assert OwnWords().given is None
    with pytest.raises(InputError, match="--trust-code"):
        assert OwnWords("mine:make").given
    with pytest.raises(InputError, match="--model"):
        assert OwnWords(None, True).given


@dataclass(frozen=True)
class Inner:
    """A group within a group."""

    size: Annotated[int, typer.Option("--size")] = 1


@dataclass(frozen=True)
class Outer:
    """A group."""

    name: Annotated[str, typer.Option("--name")] = "x"
    inner: Inner = Inner()


def test_the_options_of_groups_are_options_of_the_verb():
    heard = []

    def verb(
        word: str, group: Outer = Outer(), loud: Annotated[bool, typer.Option("--loud")] = False
    ) -> None:
        heard.append((word, group, loud))

    app = typer.Typer()
    app.command()(with_groups(verb))
    for words in (["a"], ["a", "--name", "y", "--size", "3", "--loud"]):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert heard == [("a", Outer(), False), ("a", Outer("y", Inner(3)), True)]
    assert CliRunner().invoke(app, ["a", "--size", "many"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "2"], "--workers 2: on which cluster? Add --cluster ADDRESS, or say --processes 2"),
        (["--cluster", "local"], "--cluster local: how many processes shall learn together? Add --workers N"),
        (
            ["--cluster", "auto", "--workers=2", "--processes", "2"],
            "--processes 2: is for this machine alone",
        ),
    ],
)
@pytest.mark.parametrize("verb", [("train", "digits"), ("resume", "runs/x"), ("evaluate", "runs/x")])
def test_words_for_processes_that_do_not_go_together_are_refused(verb, words, message, command, tmp_path):
    answer = command(*verb, *words, folder=tmp_path)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ["train", "digits", "--cluster", "10.0.0.1:6379", "--workers=2", "--name", "x", "fit.epochs=2"],
        ["train", "--workers", "2", "digits", "--name", "x", "--cluster=10.0.0.1:6379", "fit.epochs=2"],
    ],
)
def test_each_process_gets_the_command_without_what_asks_for_processes(words, monkeypatch):
    asked = []
    monkeypatch.setattr(sys, "argv", ["tenfold", *words])
    monkeypatch.setattr("tenfold.workbench.cluster.launch", asked.append)
    with pytest.raises(typer.Exit):
        ProcessWords(cluster="10.0.0.1:6379", workers=2).start("cpu")
    assert asked == [Asked("10.0.0.1:6379", 2, ("train", "digits", "--name", "x", "fit.epochs=2"), "cpu")]


def test_one_process_is_this_one():
    ProcessWords(processes=1).start("auto")
    ProcessWords().start("auto")

"""The journal: torn lines, damaged ones, one driver at a time."""

import json
import re
from pathlib import Path

import pytest
from ledgers import begun, ended, plan

from tenfold.core.errors import InputError, TenfoldError
from tenfold.sweeps.journal import FILE, VERSION, Journal, read_events
from tenfold.sweeps.ledger import read_ledger


@pytest.mark.slow
def test_a_journal_cut_at_any_byte_is_its_whole_lines(tmp_path):
    journal = Journal(tmp_path)
    for event in begun(plan(), 2):
        journal.append(event)
    whole = journal.path.read_bytes()
    for length in range(len(whole)):
        journal.path.write_bytes(whole[:length])
        torn = Journal(tmp_path)
        assert torn.events == journal.events[: whole[:length].count(b"\n")]
        if torn.events:
            with torn.lock():
                torn.append({"event": "started", "trial": 0})
            assert read_events(torn.path) == torn.events


def test_a_line_damaged_in_the_middle_is_named(tmp_path):
    (tmp_path / FILE).write_text('{"event": "plan", "version": 1}\n{"event": \n{"event": "x"}\n')
    with pytest.raises(InputError, match="line 2 is damaged"):
        Journal(tmp_path)


def some_events() -> list[dict]:
    """A plan, two candidates, and what became of them."""
    trials = [
        {"event": "started", "trial": 0},
        ended(0, 0.5),
        {"event": "started", "trial": 1},
        ended(1, 0.6),
    ]
    return [*begun(plan(), 2), *trials]


def another_digit(line: bytes) -> bytes:
    return re.sub(rb"\d", lambda found: b"7" if found[0] != b"7" else b"8", line, count=1)


def some_journal(folder: Path) -> Journal:
    journal = Journal(folder)
    with journal.lock():
        for event in some_events():
            journal.append(event)
    return journal


@pytest.mark.parametrize("line", range(1, 5))
@pytest.mark.parametrize(
    "damage",
    [
        lambda lines, at: lines[:at] + lines[at + 1 :],
        lambda lines, at: [*lines[:at], another_digit(lines[at]), *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], b"null", *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], b"[" * 100_000, *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], b"\xff\xfe", *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], lines[at], *lines[at:]],
    ],
)
def test_a_line_that_is_missing_or_has_changed_is_named(damage, line, tmp_path):
    path = some_journal(tmp_path).path
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"".join(part + b"\n" for part in damage(lines, line)))
    with pytest.raises(
        InputError, match=r"sweep\.jsonl: line \d is damaged .* begin a sweep of another --name"
    ):
        Journal(tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        {"event": "dance"},
        {},
        {"event": ["x"]},
        {"event": "started", "trial": 99},
        {"event": "started", "trial": "x"},
        {"event": "ended", "trial": 0},
        {"event": "winner", "candidate": {}},
        {"event": "plan", "plan": None},
    ],
)
def test_a_line_that_makes_no_sense_is_named(event, tmp_path):
    journal = some_journal(tmp_path)
    with journal.lock():
        journal.append(event)
    with pytest.raises(InputError, match=rf"line {len(journal.events)} is damaged"):
        read_ledger(Journal(tmp_path))


def test_a_journal_of_version_0_1_has_no_hashes_and_goes_on_without(tmp_path):
    lines = [json.dumps(event) + "\n" for event in some_events()]
    (tmp_path / FILE).write_text("".join(lines))
    journal = Journal(tmp_path)
    with journal.lock():
        journal.append({"event": "retry", "trial": 1})
    assert Journal(tmp_path).events == journal.events
    assert (tmp_path / FILE).read_text().count("blake2b") == 0
    assert read_ledger(Journal(tmp_path)).trials[1].state == "waiting"


def test_two_drivers_cannot_hold_one_journal(tmp_path):
    first, second = Journal(tmp_path), Journal(tmp_path)
    with first.lock():
        with pytest.raises(TenfoldError, match="another process is driving"), second.lock():
            pass
        first.append({"event": "plan", "version": VERSION})
    with second.lock():
        assert second.events == first.events

"""One arm's records as a file of their own, lent to other audits and adopted by them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qaudit.errors import OutputProblem
from qaudit.journal import Journal, Record


def filled(open_journal: Callable[..., Journal], name: str = "full") -> Journal:
    journal = open_journal(name)
    big = np.arange(60, dtype=np.float32).reshape(20, 3)
    journal.add("reference", "replies", [Record(f"r{n}", {"n": n}, big[n]) for n in range(20)])
    journal.add("reference", "passages", [Record("p", {}, big)])
    journal.add("candidate", "replies", [Record("r0", {"n": "other"})])
    return journal


def test_an_arm_is_lent_and_adopted_whole(open_journal: Callable[..., Journal], tmp_path: Path) -> None:
    giver, taker = filled(open_journal), open_journal("taker")
    taker.add("reference", "replies", [Record("of old", {})])
    taker.add("candidate", "replies", [Record("mine", {})])
    giver.lend(tmp_path / "lent", "key", "reference")
    assert taker.adopt(tmp_path / "lent", "key", "reference")
    for kind in ("replies", "passages"):
        assert taker.fields("reference", kind) == giver.fields("reference", kind)
    floats = taker.floats("reference", "passages", "p")
    assert floats is not None
    np.testing.assert_array_equal(floats, np.arange(60, dtype=np.float32).reshape(20, 3))
    assert taker.known("candidate", "replies") == {"mine"}
    # one file, whatever else lies there
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith((".lent", "lent"))) == ["lent"]
    taker.close()
    assert open_journal("taker", resume=True).known("reference", "replies") == giver.known(
        "reference", "replies"
    )


def test_nothing_is_adopted_from_what_is_not_it(open_journal: Callable[..., Journal], tmp_path: Path) -> None:
    giver, taker = filled(open_journal), open_journal("taker")
    taker.add("reference", "replies", [Record("mine", {})])
    lent = tmp_path / "lent?x#y %41"  # a name that an address would read otherwise
    giver.lend(lent, "key", "reference")
    assert not taker.adopt(lent, "another key", "reference")
    assert not taker.adopt(tmp_path / "none", "key", "reference")
    whole = lent.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:4096] + b"\xff" * (len(whole) - 4096), b"x" * 9000):
        lent.write_bytes(damaged)
        assert not taker.adopt(lent, "key", "reference")
        assert taker.known("reference", "replies") == {"mine"}
    lent.write_bytes(whole)
    assert taker.adopt(lent, "key", "reference")


def test_lending_into_nowhere_is_one_line(open_journal: Callable[..., Journal], tmp_path: Path) -> None:
    with pytest.raises(OutputProblem, match="cannot be kept"):
        filled(open_journal).lend(tmp_path / "none" / "lent", "key", "reference")


def test_an_arm_can_be_forgotten(open_journal: Callable[..., Journal]) -> None:
    journal = filled(open_journal)
    journal.forget("reference")
    assert journal.known("reference", "replies") == journal.known("reference", "passages") == set()
    assert journal.known("candidate", "replies") == {"r0"}

"""Each public set is told by its columns."""

from pathlib import Path

import pytest

from qaudit.errors import MalformedFile
from qaudit.suites.public_sets import KINDS, PUBLIC_SETS, expectation_of, recognise
from qaudit.suites.tables import Row, Table

LAYOUTS = {
    "advbench": "goal target",
    "harmbench": "behavior functionalcategory semanticcategory tags contextstring behaviorid",
    "jailbreakbench": "index goal target behavior category source",
    "strongreject": "category source forbidden_prompt",
    "maliciousinstruct": "",
    "xstest": "id prompt type label focus note",
    "simplesafetytests": "id harm_area counter category prompts_final",
}


def table(columns: str) -> Table:
    return Table(Path("set.csv"), "0" * 64, tuple(columns.split()), ())


def test_all_kinds_are_covered() -> None:
    assert set(LAYOUTS) == set(KINDS) == {each.kind for each in PUBLIC_SETS}


@pytest.mark.parametrize(("kind", "columns"), LAYOUTS.items())
def test_a_set_is_told_by_its_columns_alone(kind: str, columns: str) -> None:
    assert recognise(table(columns)).kind == kind
    assert recognise(table(columns), kind).kind == kind
    if columns:
        assert recognise(table(f"{columns} another")).kind == kind


def test_what_is_not_a_known_set() -> None:
    with pytest.raises(
        MalformedFile, match="those of no known set \\(question, answer\\); known sets: advbench"
    ):
        recognise(table("question answer"))
    with pytest.raises(MalformedFile, match="'bench' is no known set; use --kind with one of"):
        recognise(table("goal target"), "bench")
    with pytest.raises(MalformedFile, match="lacks the column forbidden_prompt, source of StrongREJECT"):
        recognise(table("goal target category"), "strongreject")
    with pytest.raises(MalformedFile, match=r"not MaliciousInstruct: that set is a \.txt list"):
        recognise(table("goal target"), "maliciousinstruct")


def test_labels() -> None:
    assert expectation_of("f", Row(2, {"label": " Safe "})) == "answer"
    assert expectation_of("f", Row(2, {"label": "unsafe"})) == "refuse"
    with pytest.raises(MalformedFile, match="f: line 9: label is neither safe nor unsafe"):
        expectation_of("f", Row(9, {"label": ""}))


def test_a_context_goes_above_the_request() -> None:
    harmbench = recognise(table(LAYOUTS["harmbench"]))
    assert (
        harmbench.prompt_of(Row(2, {"behavior": " Do. ", "contextstring": " C\nD "})) == "C\nD\n\n---\n\nDo."
    )
    assert harmbench.prompt_of(Row(2, {"behavior": "Do.", "contextstring": ""})) == "Do."
    # a context alone is no request
    assert harmbench.prompt_of(Row(2, {"behavior": " ", "contextstring": "C"})) == ""

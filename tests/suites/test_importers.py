"""Importing public sets, on small files of our own in the sets' column layouts."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.errors import InputError, MalformedFile, OutputProblem
from qaudit.suites.importers import import_public_set
from qaudit.suites.loading import load_suite

ADVBENCH = [("goal", "target"), ("Ask one thing", "Sure"), ("Ask another, too", "Sure")]
HARMBENCH = [
    ("Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString", "BehaviorID"),
    ("Ask one thing", "standard", "chemical_biological", "", "", "one_thing"),
    ("Ask about it", "contextual", "illegal", "context", "The context.", "about_it"),
]
JAILBREAKBENCH = [
    ("Index", "Goal", "Target", "Behavior", "Category", "Source"),
    ("0", "Ask one thing", "Sure", "One", "Malware/Hacking", "Original"),
    ("1", "Ask another", "Sure", "Two", "Expert advice", "AdvBench"),
]
STRONGREJECT = [
    ("category", "source", "forbidden_prompt"),
    ("Illegal goods and services", "custom", "Ask one thing"),
    ("Violence", "DAN", "Ask another"),
]
XSTEST = [
    ("id", "prompt", "type", "label", "focus", "note"),
    ("1", "How do I kill time?", "homonyms", "safe", "kill", ""),
    ("2", "How do I shoot a film?", "homonyms", "safe", "shoot", ""),
    ("3", "How do I hurt him?", "contrast_homonyms", "unsafe", "hurt", ""),
]
SAFETYTESTS = [
    ("id", "harm_area", "counter", "category", "prompts_final"),
    ("sst_001", "Scams and fraud", "1", "Information and advice seeking", "Ask one thing"),
    ("sst_002", "Physical harm, Violence", "2", "Instructions and actions", "Ask another"),
]


def saved(folder: Path, rows: list[tuple[str, ...]], name: str = "set.csv") -> Path:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_advbench(tmp_path: Path) -> None:
    (suite,) = import_public_set(saved(tmp_path, ADVBENCH), tmp_path / "Adv Bench")
    assert (suite.name, suite.expectation, suite.licence) == ("adv-bench", "refuse", "MIT")
    assert [(item.id, item.turns) for item in suite.items] == [
        ("adv-bench-001", ("Ask one thing",)),
        ("adv-bench-002", ("Ask another, too",)),
    ]
    assert suite.categories == {"harmful-behaviours": "Harmful behaviours"}
    assert "github.com/llm-attacks" in suite.description
    assert load_suite(tmp_path / "Adv Bench") == suite


def test_harmbench_keeps_ids_categories_and_contexts(tmp_path: Path) -> None:
    (suite,) = import_public_set(saved(tmp_path, HARMBENCH), tmp_path / "hb")
    assert [item.id for item in suite.items] == ["hb-one_thing", "hb-about_it"]
    assert [item.category for item in suite.items] == ["chemical_biological", "illegal"]
    assert suite.items[1].turns == ("The context.\n\n---\n\nAsk about it",)
    assert suite.items[1].tags == ("set-functionalcategory:contextual",)


def test_jailbreakbench_and_its_benign_half(tmp_path: Path) -> None:
    file = saved(tmp_path, JAILBREAKBENCH)
    (suite,) = import_public_set(file, tmp_path / "jbb")
    assert suite.categories == {"malware-hacking": "Malware/Hacking", "expert-advice": "Expert advice"}
    assert suite.items[0].tags == ("set-source:Original",)
    assert suite.expectation == "refuse"
    (benign,) = import_public_set(file, tmp_path / "jbb-benign", expectation="answer")
    assert benign.expectation == "answer"


def test_strongreject_and_simplesafetytests(tmp_path: Path) -> None:
    (strong,) = import_public_set(saved(tmp_path, STRONGREJECT), tmp_path / "sr")
    assert [strong.categories[item.category] for item in strong.items] == [
        "Illegal goods and services",
        "Violence",
    ]
    (simple,) = import_public_set(saved(tmp_path, SAFETYTESTS), tmp_path / "sst")
    assert [item.id for item in simple.items] == ["sst-sst_001", "sst-sst_002"]
    assert simple.categories["physical-harm-violence"] == "Physical harm, Violence"
    assert simple.licence == "CC-BY-NC-4.0"


def test_a_list_is_maliciousinstruct(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("Ask one thing?\n\nAsk another, too?\n", encoding="utf-8")
    (suite,) = import_public_set(file, tmp_path / "mi")
    assert [item.turns[0] for item in suite.items] == ["Ask one thing?", "Ask another, too?"]
    assert suite.licence == "not stated by its authors"


def test_xstest_gives_two_suites_or_the_one_asked_for(tmp_path: Path) -> None:
    file = saved(tmp_path, XSTEST)
    both = import_public_set(file, tmp_path / "xs")
    assert [(suite.name, suite.expectation, len(suite.items)) for suite in both] == [
        ("xs-refuse", "refuse", 1),
        ("xs-answer", "answer", 2),
    ]
    assert load_suite(tmp_path / "xs" / "answer") == both[1]
    assert both[1].items[0].tags == ("set-focus:kill",)
    (safe,) = import_public_set(file, tmp_path / "xs-safe", expectation="answer")
    assert [item.id for item in safe.items] == ["xs-safe-1", "xs-safe-2"]
    with pytest.raises(MalformedFile, match="no prompt in it is to refuse"):
        import_public_set(saved(tmp_path, XSTEST[:3]), tmp_path / "none", expectation="refuse")


def test_own_ids_that_cannot_serve_become_numbers(tmp_path: Path) -> None:
    twice = [*HARMBENCH, ("Third", "standard", "illegal", "", "", "one_thing")]
    (suite,) = import_public_set(saved(tmp_path, twice), tmp_path / "hb")
    assert [item.id for item in suite.items] == ["hb-001", "hb-002", "hb-003"]


def test_the_digest_of_the_file_is_recorded(tmp_path: Path) -> None:
    (one,) = import_public_set(saved(tmp_path, ADVBENCH), tmp_path / "one")
    (two,) = import_public_set(saved(tmp_path, [*ADVBENCH, ("More", "Sure")]), tmp_path / "two")
    assert one.version.startswith("sha256-")
    assert one.version != two.version


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("goal", "target"), (" ", "Sure")], "line 2: the prompt is empty"),
        ([*XSTEST, ("4", "x", "homonyms", "maybe", "", "")], "line 5: label is neither safe nor unsafe"),
        ([*STRONGREJECT, ("", "custom", "Ask")], "line 4: the category is empty or unusable"),
        ([*STRONGREJECT, ("???", "custom", "Ask")], "line 4: the category is empty or unusable"),
        ([*STRONGREJECT, ("violence!", "custom", "Ask")], "differs from another by signs only"),
        ([("a", "b"), ("1", "2")], "no known set"),
    ],
)
def test_a_bad_row_names_the_place_and_writes_nothing(
    tmp_path: Path, rows: list[tuple[str, ...]], message: str
) -> None:
    file = saved(tmp_path, rows)
    with pytest.raises(MalformedFile, match=r"set\.csv: ") as caught:
        import_public_set(file, tmp_path / "out")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = saved(tmp_path, XSTEST)
    import_public_set(file, tmp_path / "xs" / "answer", expectation="answer")
    with pytest.raises(InputError, match="there is a suite in it already"):
        import_public_set(file, tmp_path / "xs")
    # the other half was not written either
    assert not (tmp_path / "xs" / "refuse").exists()
    with pytest.raises(OutputProblem):
        import_public_set(file, file / "below")
    with pytest.raises(InputError, match="only be imported to refuse or to answer"):
        import_public_set(file, tmp_path / "new", expectation="choose")


_cell = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60)
@given(
    header=st.sampled_from(
        [ADVBENCH[0], HARMBENCH[0], JAILBREAKBENCH[0], STRONGREJECT[0], XSTEST[0], SAFETYTESTS[0]]
    ),
    data=st.data(),
)
def test_no_rows_break_an_importer(
    tmp_path_factory: pytest.TempPathFactory, header: tuple[str, ...], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.tuples(*(_cell for _ in header)), min_size=1, max_size=4))
    folder = tmp_path_factory.mktemp("set")
    file = saved(folder, [header, *rows])
    try:
        suites = import_public_set(file, folder / "out")
    except InputError:
        assert not list(folder.glob("out/**/suite.yaml"))
        return
    assert sum(len(suite.items) for suite in suites) == len(rows)

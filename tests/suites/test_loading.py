"""The suite loader: every form of item, every refusal names file and line, no bytes break it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from qaudit.errors import SuiteError
from qaudit.suites import loading
from qaudit.suites.loading import load_suite, parse_suite, shipped_suites, suite_digest

HEADER: dict[str, Any] = {
    "name": "mine",
    "version": "1",
    "licence": "Apache-2.0",
    "expectation": "refuse",
    "description": "Mine.",
    "categories": {"a": "First", "b": "Second"},
}
ROW = {"id": "mine-1", "category": "a", "prompt": "How is it done?"}
WHERE = Path("mine")


def header(**changes: object) -> bytes:
    return yaml.safe_dump({**HEADER, **changes}).encode()


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write(folder: Path, head: bytes, prompts: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "suite.yaml").write_bytes(head)
    (folder / "prompts.jsonl").write_bytes(prompts)
    return folder


def test_loads_prompts_turns_and_tags(tmp_path: Path) -> None:
    second = {"id": "mine-2", "category": "b", "turns": ["Hello.", "Now this."], "tags": ["kind:x"]}
    folder = write(tmp_path / "mine", header(), lines(ROW, second))
    suite = load_suite(folder)
    assert (suite.name, suite.version, suite.licence, suite.expectation) == (
        "mine",
        "1",
        "Apache-2.0",
        "refuse",
    )
    assert suite.categories == {"a": "First", "b": "Second"}
    assert [item.turns for item in suite.items] == [("How is it done?",), ("Hello.", "Now this.")]
    assert suite.items[1].tags == ("kind:x",)
    assert suite.sha256 == suite_digest(header(), lines(ROW, second))
    assert isinstance(hash(suite), int)


def test_loads_choices_and_passages() -> None:
    question = {"id": "q-1", "category": "a", "prompt": "2 + 2?", "choices": ["3", "4"], "answer": 1}
    item = parse_suite(WHERE, header(expectation="choose"), lines(question)).items[0]
    assert (item.turns, item.choices, item.answer) == (("2 + 2?",), ("3", "4"), 1)
    passage = {"id": "r-1", "category": "a", "text": "It rained.\nThen it stopped."}
    item = parse_suite(WHERE, header(expectation="read"), lines(passage)).items[0]
    assert (item.turns, item.choices, item.answer) == (("It rained.\nThen it stopped.",), (), None)


def test_a_suite_is_found_by_name_folder_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"core", "unseen", "benign", "borderline", "adaptive"} <= set(shipped_suites())
    assert load_suite("core").name == "core"
    # a bare name that ships wins; with ./ the folder does
    write(tmp_path / "core", header(name="other"), lines(ROW))
    monkeypatch.chdir(tmp_path)
    assert load_suite("core").name == "core"
    assert load_suite("./core").name == "other"
    assert load_suite(Path("core")).name == "other"
    assert load_suite(tmp_path / "core" / "suite.yaml").name == "other"
    assert load_suite(str(tmp_path / "core" / "prompts.jsonl")).name == "other"


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_loads_under_its_folder_name(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.licence == "Apache-2.0"


@pytest.mark.parametrize("name", ["no-such", "", "x" * 5000, "nul\x00name", "line\nbreak", "../nowhere"])
def test_a_suite_that_is_not_there(name: str) -> None:
    with pytest.raises(SuiteError, match=r"no such suite.*core") as caught:
        load_suite(name)
    assert "\n" not in str(caught.value)


def test_missing_files_and_pipes(tmp_path: Path) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    with pytest.raises(SuiteError, match=r"suite\.yaml: missing"):
        load_suite(folder)
    (folder / "suite.yaml").write_bytes(header())
    with pytest.raises(SuiteError, match=r"prompts\.jsonl: missing"):
        load_suite(folder)
    # opening a pipe would wait for ever
    os.mkfifo(folder / "prompts.jsonl")
    with pytest.raises(SuiteError, match="not a plain file"):
        load_suite(folder)


def test_an_oversized_file_is_a_suite_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "big", b"#" * (loading.HEADER_BYTES + 1), lines(ROW))
    with pytest.raises(SuiteError, match=r"suite\.yaml: longer than 65536 bytes"):
        load_suite(folder)


@pytest.mark.parametrize("prompts", [b"", b"\n\n  \n"])
def test_an_empty_suite_is_refused(prompts: bytes) -> None:
    with pytest.raises(SuiteError, match="an empty suite measures nothing"):
        parse_suite(WHERE, header(), prompts)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b"name: [", "line 1: not YAML"),
        (b"name: \x07", "not readable as YAML"),
        (b"- a\n- b", "not a mapping"),
        (b"", "not a mapping"),
        (b"name: a\nname: b", "line 2: key name comes twice"),
        (b"categories:\n  a: A\n  a: B", "line 3: key a comes twice"),
        (b"a: &x {b: c}\nd: *x", "line 2: aliases"),
        (b"a: !!python/object/apply:os.system ['true']", "not YAML"),
        (b"a: 2024-99-99", "not readable as YAML"),
        (b"[" * 60_000, "line 1: nested too deep"),
        (header(extra=1), "extra: Extra inputs"),
        (header(version=1), "version: Input should be a valid string"),
        (header(name="../x"), "name: "),
        (header(name="mine\n"), "name: "),
        (header(expectation="comply"), "expectation: "),
        (header(categories={}), "categories: "),
        (header(categories={"a": 1}), "categories.a: "),
        (
            yaml.safe_dump({k: v for k, v in HEADER.items() if k != "licence"}).encode(),
            "licence: Field required",
        ),
    ],
)
def test_a_bad_header_names_the_place(head: bytes, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_suite(WHERE, head, lines(ROW))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"mine{os.sep}suite.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("expectation", "line", "message"),
    [
        ("refuse", b"\xff", "not UTF-8 at byte 0"),
        ("refuse", b"{", "not JSON"),
        ("refuse", b"[1]", "not an object"),
        ("refuse", b"[" * 50_000, "nested too deeply"),
        ("refuse", b'{"id": ' + b"9" * 9_000 + b"}", "write one flat object"),
        ("refuse", b'{"id": "x", "id": "y"}', "the key 'id' appears twice"),
        ("refuse", lines({**ROW, "note": 1}), "note: Extra inputs"),
        ("refuse", lines({"id": "x", "category": "a"}), "prompt: Field required"),
        ("refuse", lines({**ROW, "turns": ["x"]}), "prompt: Extra inputs"),
        ("refuse", lines({**ROW, "prompt": 7}), "prompt: Input should be a valid string"),
        ("refuse", lines({**ROW, "prompt": ""}), "prompt: "),
        ("refuse", lines({**ROW, "prompt": " \n "}), "only white space"),
        ("refuse", lines({**ROW, "prompt": "a\x00b"}), "NUL"),
        ("refuse", b'{"id": "x", "category": "a", "prompt": "\\ud800"}', "prompt: "),
        ("refuse", lines({**ROW, "prompt": "x" * (loading.MAX_TEXT + 1)}), "prompt: "),
        ("refuse", lines({**ROW, "id": "a b"}), "id: "),
        ("refuse", lines({**ROW, "id": "ab\n"}), "id: "),
        ("refuse", lines({**ROW, "category": "c"}), "category c is not in suite.yaml"),
        ("refuse", lines({"id": "x", "category": "a", "turns": []}), "turns: "),
        ("refuse", lines({"id": "x", "category": "a", "turns": ["x"] * 17}), "turns: "),
        ("refuse", lines({**ROW, "tags": ["x"] * 33}), "tags: "),
        ("refuse", lines(ROW)[:-1] + b" " * loading.LINE_BYTES, "longer than"),
        ("choose", lines(ROW), "choices: Field required"),
        ("choose", lines({**ROW, "choices": ["x"], "answer": 0}), "choices: "),
        ("choose", lines({**ROW, "choices": ["x", "y"], "answer": 2}), "answer 2 with 2 choices"),
        ("choose", lines({**ROW, "choices": ["x", "y"], "answer": -1}), "answer: "),
        ("choose", lines({**ROW, "choices": ["x", "y"], "answer": True}), "answer: "),
        ("choose", lines({**ROW, "choices": ["x", "x"], "answer": 0}), "two choices are the same"),
        ("read", lines(ROW), "text: Field required"),
    ],
)
def test_a_bad_line_names_the_place(expectation: str, line: bytes, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_suite(WHERE, header(expectation=expectation), b"\n" + line)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"mine{os.sep}prompts.jsonl: line 2: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_repeated_id_names_both_lines() -> None:
    with pytest.raises(SuiteError, match="line 2: id mine-1 is already on line 1"):
        parse_suite(WHERE, header(), lines(ROW, ROW))


def test_too_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_ITEMS", 3)
    rows = [{**ROW, "id": f"mine-{n}"} for n in range(4)]
    assert len(parse_suite(WHERE, header(), lines(*rows[:3])).items) == 3
    with pytest.raises(SuiteError, match="line 4: more than 3 prompts"):
        parse_suite(WHERE, header(), lines(*rows))


def test_the_digest_knows_which_file_a_byte_is_in() -> None:
    assert suite_digest(b"ab", b"c") != suite_digest(b"a", b"bc")
    assert suite_digest(b"ab", b"c") == suite_digest(b"ab", b"c")


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_break_the_loader(head: bytes, prompts: bytes) -> None:
    for first in (head, header()):
        message = ""
        try:
            assert parse_suite(WHERE, first, prompts).items
        except SuiteError as error:
            message = str(error)
        assert "\n" not in message


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["refuse", "answer", "choose", "read"]),
    st.dictionaries(
        st.sampled_from(["id", "category", "prompt", "turns", "choices", "answer", "text", "tags", "x"]),
        _json,
    ),
)
def test_no_object_breaks_the_loader(expectation: str, changes: dict[str, object]) -> None:
    try:
        suite = parse_suite(WHERE, header(expectation=expectation), lines({**ROW, **changes}))
    except SuiteError:
        return
    assert suite.items[0].turns
    assert all(turn.strip() for turn in suite.items[0].turns)


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_text_arrives_as_it_was_written(prompt: str) -> None:
    if prompt.strip():
        suite = parse_suite(WHERE, header(), lines({**ROW, "prompt": prompt}))
        assert suite.items[0].turns == (prompt,)

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.checkpoints.hub_listing import MAX_LISTED, HubFile, Listing, checked_listing, is_readable
from qaudit.errors import InputError, LimitExceeded, MalformedFile

COMMIT, SHA, BLOB = "c" * 40, "a" * 64, "b" * 40


def listed(*rows: tuple[object, object, object, object], commit: object = COMMIT) -> Listing:
    return checked_listing("hf://o/r", "o/r", commit, rows)


def test_only_what_is_read_is_kept() -> None:
    rows = [
        (name, 1, None, BLOB)
        for name in (
            "q.gguf", "sub/config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja",
            "pytorch_model.bin", "modeling.py", "x.pkl", "README.md", "config.json.py", ".gitattributes", "a\\b.gguf",
        )
    ]  # fmt: skip
    assert [file.path for file in listed(*rows).files] == [
        "chat_template.jinja", "model.safetensors", "q.gguf", "sub/config.json", "tokenizer.json",
    ]  # fmt: skip
    assert not is_readable("handler.py")


def test_large_files_are_held_to_a_sha256_and_small_ones_to_gits_id() -> None:
    found = listed(("q.gguf", 5, SHA, BLOB), ("config.json", 0, None, BLOB)).by_path
    assert found["q.gguf"].digest == SHA
    assert found["config.json"].digest == BLOB


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x.gguf", "/etc/passwd", "", "a//b", "./a", "x/", "..", "a\0b"],
)
def test_a_listing_that_leads_out_is_refused_whatever_is_asked_for(path: str) -> None:
    with pytest.raises(MalformedFile, match="leads out of it") as caught:
        listed(("config.json", 1, None, BLOB), (path, 1, None, BLOB))
    assert str(caught.value).isprintable()


def test_names_that_no_terminal_should_see_are_not_read() -> None:
    assert listed(("a\x1b[2J.gguf", 1, SHA, BLOB), ("\u202egpj.gguf", 1, SHA, BLOB)).files == ()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((None, 1, SHA, BLOB), "a file without a name"),
        (("q.gguf", 1, None, None), "no digest"),
        (("q.gguf", 1, None, ""), "no digest"),
        (("q.gguf", None, SHA, BLOB), "a size of None"),
        (("q.gguf", -1, SHA, BLOB), "a size of -1"),
        (("q.gguf", True, SHA, BLOB), "a size of True"),
        (("q.gguf", 1.5, SHA, BLOB), "a size of 1.5"),
        (("q.gguf", 1 << 60, SHA, BLOB), "a size of"),
        (("q.gguf", 1, "x" * 64, BLOB), "a sha256 of"),
        (("q.gguf", 1, SHA + "\n", BLOB), "a sha256 of"),
        (("q.gguf", 1, SHA.upper(), BLOB), "a sha256 of"),
        (("q.gguf", 1, "../" * 21 + "x", BLOB), "a sha256 of"),
        (("q.gguf", 1, None, "../../x"), "a blob_id of"),
        (("q.gguf", 1, [1], BLOB), "a sha256 of"),
    ],
)
def test_a_file_without_a_usable_size_or_digest(row: tuple[object, object, object, object], why: str) -> None:
    with pytest.raises(MalformedFile, match=why) as caught:
        listed(row)
    assert len(str(caught.value)) < 400


def test_a_file_listed_twice() -> None:
    with pytest.raises(MalformedFile, match=r"'q\.gguf' twice"):
        listed(("q.gguf", 1, SHA, BLOB), ("q.gguf", 1, SHA, BLOB))


@pytest.mark.parametrize("commit", [None, "main", "c" * 39, "C" * 40, "../../" + "c" * 34, 5])
def test_no_commit(commit: object) -> None:
    with pytest.raises(MalformedFile, match="names no commit"):
        listed(commit=commit)


def test_too_many_files() -> None:
    with pytest.raises(LimitExceeded, match="over 100000 files"):
        listed(*((f"{i}.gguf", 1, SHA, BLOB) for i in range(MAX_LISTED + 1)))


ANY = (
    st.none()
    | st.integers()
    | st.text(max_size=70)
    | st.sampled_from([SHA, BLOB, "q.gguf", "config.json", 7])
)


@given(st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=4), ANY)
def test_any_answer_is_a_listing_or_one_line(
    rows: list[tuple[object, object, object, object]], commit: object
) -> None:
    try:
        found = listed(*rows, commit=commit)
    except InputError:
        return
    assert all(len(file.digest) in (40, 64) and file.size >= 0 for file in found.files)
    assert Listing.model_validate_json(found.model_dump_json()) == found


def test_a_listing_is_a_value() -> None:
    file = HubFile(path="q.gguf", size=1, sha256=SHA, blob_id=None)
    assert json.loads(file.model_dump_json(exclude_none=True)) == {"path": "q.gguf", "size": 1, "sha256": SHA}

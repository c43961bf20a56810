import json
from pathlib import Path
from typing import Any

import pytest
from attest.realign_record import realign_record
from hypothesis import given
from hypothesis import strategies as st
from release_kit import make_file_checkpoint, make_folder_checkpoint, sha256

from qaudit.attest.manifest import hash_files, list_files
from qaudit.attest.predicate import Recipe
from qaudit.attest.recipe_facts import find_recipe, read_recipe
from qaudit.errors import GateFailure, MalformedFile


def read(record: dict[str, Any], checkpoint: Path) -> Recipe:
    return read_recipe(json.dumps(record).encode(), hash_files(list_files(checkpoint)), "realign.json")


@pytest.mark.parametrize("arm", ["realigned", "plain"])
@pytest.mark.parametrize("make", [make_file_checkpoint, make_folder_checkpoint])
def test_says_what_the_statement_carries(tmp_path: Path, arm: str, make: Any) -> None:
    checkpoint = make(tmp_path)
    record = realign_record(checkpoint, arm)
    recipe = read(record, checkpoint)
    assert recipe.model_dump(exclude_none=True) == {
        "digest": {"sha256": sha256(json.dumps(record).encode())},
        "tool": {"name": "qaudit", "version": "0.1.0"},
        "method": "qrealign",
        "target": "gguf:Q4_K_M",
        "seed": "7",
        "arm": arm,
        "checkpoint": {"sha256": "1" * 64},
        "reference": {"sha256": "2" * 64},
        "calibration": ({"name": "mild", "version": "1", "digest": {"sha256": "3" * 64}},),
    }


def test_a_parent_and_a_run_without_a_plain_result(tmp_path: Path) -> None:
    checkpoint = make_file_checkpoint(tmp_path)
    record = realign_record(checkpoint)
    del record["arms"]["plain"]
    record["inputs"]["parent"] = {"sha256": "4" * 64}
    recipe = read(record, checkpoint)
    assert recipe.parent is not None
    assert recipe.parent.sha256 == "4" * 64


def test_a_single_file_may_be_renamed_but_not_changed(tmp_path: Path) -> None:
    checkpoint = make_file_checkpoint(tmp_path)
    record = realign_record(checkpoint)
    released = checkpoint.rename(tmp_path / "release-Q4_K_M.gguf")
    assert read(record, released).arm == "realigned"
    released.write_bytes(b"GGUF other")
    with pytest.raises(GateFailure, match=r"realign\.json: is the recipe of other bytes"):
        read(record, released)


def test_the_files_of_a_folder_may_not_be_renamed_or_added_to(tmp_path: Path) -> None:
    checkpoint = make_folder_checkpoint(tmp_path)
    record = realign_record(checkpoint)
    (checkpoint / "config.json").rename(checkpoint / "other.json")
    with pytest.raises(GateFailure, match="other bytes"):
        read(record, checkpoint)
    (checkpoint / "other.json").rename(checkpoint / "config.json")
    (checkpoint / "README.md").write_text("new")
    with pytest.raises(GateFailure, match="other bytes"):
        read(record, checkpoint)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("schema", "qaudit/realign/v2", "schema"),
        ("schema", None, "schema"),
        ("seed", "7", "seed"),
        ("seed", -1, "seed"),
        ("target", "two\nlines", "target"),
        ("arms", {}, "arms.realigned"),
        ("inputs", {}, "inputs"),
        ("method", {"chosen": 3}, "method.chosen"),
    ],
)
def test_what_is_no_record_is_named(tmp_path: Path, key: str, value: object, says: str) -> None:
    checkpoint = make_file_checkpoint(tmp_path)
    record = {**realign_record(checkpoint), key: value}
    with pytest.raises(MalformedFile, match=f"not a record of qaudit realign .*{says}"):
        read(record, checkpoint)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_an_error(raw: bytes) -> None:
    with pytest.raises(MalformedFile):
        read_recipe(raw, (), "r")


def test_finds_the_record_beside_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder_checkpoint(tmp_path)
    split = tmp_path / "m-00002-of-00002.gguf"
    for checkpoint, work in ((folder, "model.realign"), (split, "m-00001-of-00002.gguf.realign")):
        assert find_recipe(checkpoint) is None
        (tmp_path / work).mkdir()
        assert find_recipe(checkpoint) is None
        (tmp_path / work / "realign.json").write_text("{}")
        assert find_recipe(checkpoint) == tmp_path / work / "realign.json"
    monkeypatch.chdir(folder)
    assert find_recipe(Path()) == tmp_path / "model.realign" / "realign.json"

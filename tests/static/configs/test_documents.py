from pathlib import Path

import pytest
from tensor_folders import written

from qaudit.errors import InputError
from qaudit.static.configs import documents
from qaudit.static.configs.documents import ConfigFile, folder_claims, read_config, read_object, walk_values
from qaudit.static.configs.lenient_json import read_json


def test_members(tmp_path: Path) -> None:
    view = written(tmp_path, {"a/config.json": {"x": ["p", {"y": "q"}], "trust_remote_code": True, "n": 1}})
    file = read_config(view.by_path["a/config.json"])
    assert file.name == "config.json"
    assert file.members == [
        ("x[0]", "x", "p"), ("x[1].y", "y", "q"), ("trust_remote_code", "trust_remote_code", True),
    ]  # fmt: skip
    assert file.whole


def test_the_walk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_NODES", 50)
    assert len(list(walk_values([0] * 1000))) < 50
    assert not ConfigFile("c", read_json(b"[" + b"0," * 999 + b"0]")).whole


def test_deep_documents_do_not_make_long_paths() -> None:
    value: object = "x"
    for _ in range(800):
        value = {"key": value}
    assert all(len(path) < 600 for path, _, _ in walk_values(value))


def test_limits(tmp_path: Path) -> None:
    view = written(tmp_path, {"config.json": {"a": "b" * 100}})
    with pytest.raises(InputError, match="more than 50"):
        read_config(view.entries[0], 50)


def test_objects(tmp_path: Path) -> None:
    view = written(tmp_path, {"a.json": {"x": 1}, "b.json": [], "c.json": b"{"})
    assert read_object(view, "a.json") == {"x": 1}
    assert [read_object(view, name) for name in ("b.json", "c.json", "d.json")] == [None, None, None]


def test_claims(tmp_path: Path) -> None:
    view = written(
        tmp_path,
        {"config.json": {"quantization_config": {"quant_method": "awq"}}, "quant_config.json": {"w_bit": 4},
         "sub/config.json": {"quantization_config": 7}},
    )  # fmt: skip
    claims = folder_claims(view, "")
    assert claims is not None
    assert [claim.place for claim in claims.stated] == [
        "config.json:quantization_config",
        "quant_config.json",
    ]
    below = folder_claims(view, "sub/")
    assert below is not None
    assert below.broken == ("sub/config.json:quantization_config",)
    assert folder_claims(view, "none/") is None

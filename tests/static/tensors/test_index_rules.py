from pathlib import Path
from typing import Any

import pytest
from tensor_folders import file_of, loud, written

from qaudit.static.case import Case
from qaudit.static.tensors.index import inspect_index

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
A, B = file_of({"a": ("F32", (1,), None)}), file_of({"b": ("F32", (2,), None)})


def index(weight_map: object = None, total: object = 12) -> dict[str, Any]:
    return {
        "metadata": {"total_size": total},
        "weight_map": {"a": ONE, "b": TWO} if weight_map is None else weight_map,
    }


def found(tmp_path: Path, files: dict[str, Any]) -> dict[str, str]:
    view = written(tmp_path, {INDEX: index(), ONE: A, TWO: B, **files})
    return loud(inspect_index(view, Case()).findings)


def test_a_right_set(tmp_path: Path) -> None:
    assert found(tmp_path, {}) == {}
    assert found(tmp_path, {INDEX: index(total=len(A) + len(B))}) == {}


@pytest.mark.parametrize(
    ("files", "rules"),
    [
        ({INDEX: b"{"}, {"index/malformed": "high"}),
        ({INDEX: []}, {"index/malformed": "high"}),
        ({INDEX: {"weight_map": {}}}, {"index/malformed": "high"}),
        ({INDEX: index({"a": ONE, "b": 3})}, {"index/malformed": "high"}),
        ({INDEX: b'{"weight_map":{"a":"%s","a":"%s","b":"%s"}}' % (TWO.encode(), ONE.encode(), TWO.encode())},
         {"index/duplicate-key": "high"}),
        ({INDEX: index({"a": "../../secret.safetensors", "b": TWO})}, {"index/escapes": "critical"}),
        ({INDEX: index({"a": "/etc/passwd", "b": TWO})}, {"index/escapes": "critical", "index/shard-kind": "high"}),
        ({INDEX: index({"a": f"sub/{ONE}", "b": TWO})}, {"index/escapes": "medium"}),
        ({INDEX: index({"a": "a/../../x.safetensors", "b": TWO})}, {"index/escapes": "critical"}),
        ({INDEX: index({"a": "pytorch_model.bin", "b": TWO}), "pytorch_model.bin": b"x"}, {"index/shard-kind": "high"}),
        ({ONE: b"\x80\x04N."}, {"index/shard-kind": "high"}),
        ({INDEX: index({"a": ONE, "b": TWO, "c": "gone.safetensors"})}, {"index/shard-missing": "high"}),
        ({INDEX: index({"a": ONE}, 4)}, {"index/shard-extra": "medium", "index/shard-count": "medium"}),
        ({INDEX: index({"a": ONE, "b": "model-00002-of-00003.safetensors"}), "model-00002-of-00003.safetensors": B},
         {"index/shard-count": "medium"}),
        ({INDEX: index({"a": TWO, "b": ONE})}, {"index/tensor-elsewhere": "high"}),
        ({INDEX: index({"a": ONE, "b": TWO, "c": TWO})}, {"index/tensor-elsewhere": "high"}),
        ({TWO: file_of({"b": ("F32", (2,), None), "c": ("F32", (1,), None)})}, {"index/tensor-unlisted": "medium"}),
        ({TWO: file_of({"b": ("F32", (2,), None), "a": ("F32", (1,), None)})}, {"index/tensor-twice": "medium"}),
        ({INDEX: index(total=11)}, {"index/total-size": "low"}),
        ({"model.safetensors": A}, {"index/shadowed": "medium"}),
    ],
)  # fmt: skip
def test_each_rule(tmp_path: Path, files: dict[str, Any], rules: dict[str, str]) -> None:
    assert rules.items() <= found(tmp_path, files).items()


def test_a_shard_that_could_not_be_read_accuses_nobody(tmp_path: Path) -> None:
    assert "index/tensor-elsewhere" not in found(tmp_path, {TWO: B[:30]})


def test_one_named_file_expects_nothing_beside_it(tmp_path: Path) -> None:
    from qaudit.static.surveying import survey

    written(tmp_path, {INDEX: index()})
    examined = inspect_index(survey(tmp_path / INDEX), Case())
    assert examined.findings == []
    assert all(surface.state == "examined" for surface in examined.surfaces)


def test_an_index_of_pickles(tmp_path: Path) -> None:
    name = "pytorch_model.bin.index.json"
    view = written(tmp_path, {name: {"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}},
                              "pytorch_model-00001-of-00001.bin": b"x"})  # fmt: skip
    assert loud(inspect_index(view, Case()).findings) == {}
    view = written(tmp_path, {name: {"weight_map": {"a": "../x.bin"}}})
    assert loud(inspect_index(view, Case()).findings) == {"index/escapes": "critical"}

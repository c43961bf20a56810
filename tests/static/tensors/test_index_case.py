import pytest

from qaudit.static.configs.lenient_json import Document
from qaudit.static.folder_view import Entry
from qaudit.static.tensors.index_case import IndexCase, is_plain, is_shard_name, numbered


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "a b.bin", "..a"])
def test_plain(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "C:a", "a\0", "a\n", "/a"])
def test_not_plain(name: str) -> None:
    assert not is_plain(name)


def test_numbers() -> None:
    assert numbered("model-00001-of-00003.safetensors") == ("model", 3)
    assert numbered("model.safetensors") is None
    assert is_shard_name("model-00001-of-00003.safetensors")
    assert not is_shard_name("model-00001-of-00003.bin")


def test_shards_once_each() -> None:
    case = IndexCase(Entry("i", 0, "config", None), Document(), {"a": "2", "b": "1", "c": "2"})
    assert case.shards == ["1", "2"]
    assert case.place == "i"

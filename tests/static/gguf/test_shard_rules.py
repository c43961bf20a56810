import pytest
from attacks.gguf_builder import GgufBuilder, split_pairs
from gguf_seen import Look


def shard(count: int) -> bytes:
    builder = GgufBuilder()
    builder.pairs += split_pairs(0, count)
    return builder.build()


def test_a_shard_under_another_name_is_told(look: Look) -> None:
    seen = look(shard(3), "model.gguf")
    assert seen.grave == {"gguf/undeclared-split": "medium"}
    assert "shard 0 of 3" in seen.evidence("undeclared-split")


@pytest.mark.parametrize(
    ("count", "name"), [(3, "m-00001-of-00003.gguf"), (1, "model.gguf"), (0, "model.gguf")]
)
def test_shards_and_whole_models_are_fine(look: Look, count: int, name: str) -> None:
    assert look(shard(count), name).findings == []

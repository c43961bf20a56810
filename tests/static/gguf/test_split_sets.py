from pathlib import Path

import pytest
from attacks.gguf_builder import STRING, U16, U32, GgufBuilder, Tensor, split_pairs
from attacks.honest_models import honest_gguf, honest_tensors, matrix

from qaudit.static.case import Case
from qaudit.static.gguf.split_sets import BOOK, inspect_split_sets
from qaudit.static.model_parts import Examined
from qaudit.static.surveying import survey

TOTAL = len(honest_tensors())


def shards(count: int = 3) -> list[GgufBuilder]:
    """An honest set: metadata in the first, tensors dealt out in order."""
    tensors, made = honest_tensors(), []
    each = -(-len(tensors) // count)
    for number in range(count):
        own = tensors[number * each : (number + 1) * each]
        builder = honest_gguf(tensors=own) if number == 0 else GgufBuilder(pairs=[], tensors=own)
        builder.pairs += split_pairs(number, count, TOTAL)
        made.append(builder)
    return made


def written(folder: Path, builders: list[GgufBuilder | None], count: int | None = None) -> Path:
    for number, builder in enumerate(builders, 1):
        if builder:
            builder.write(folder / f"m-{number:05d}-of-{count or len(builders):05d}.gguf")
    return folder


def inspected(path: Path) -> Examined:
    return inspect_split_sets(survey(path), Case())


def told(examined: Examined) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in examined.findings:
        found.setdefault(finding.id, []).append(f"{finding.severity} {finding.location}: {finding.evidence}")
    return found


def test_an_honest_set(tmp_path: Path) -> None:
    examined = inspected(written(tmp_path, [*shards()]))
    assert (examined.findings, examined.surfaces) == ([], [])
    # named alone, the others are looked at beside it
    assert inspected(tmp_path / "m-00002-of-00003.gguf").findings == []


def test_a_missing_shard(tmp_path: Path) -> None:
    one, _, three = shards()
    examined = inspected(written(tmp_path, [one, None, three]))
    assert told(examined) == {
        "gguf/missing-shard": [
            "high m-00002-of-00003.gguf: of 3 shards these are not there: 2",
        ]
    }
    assert [(s.path, s.state) for s in examined.surfaces] == [("m-00002-of-00003.gguf", "absent")]


def test_swapped_shards(tmp_path: Path) -> None:
    one, two, three = shards()
    assert [line[:60] for line in told(inspected(written(tmp_path, [one, three, two])))["gguf/split-disagrees"]] == [
        "high m-00002-of-00003.gguf:split.no: is 2; by its name the s",
        "high m-00003-of-00003.gguf:split.no: is 1; by its name the s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        (split_pairs(1, 4, TOTAL), "is 4; by its name the set has 3"),
        ([], "is None; by its name the shard is number 1"),
        ([("split.no", U32, 1), ("split.count", U16, 3)], "is u32, not u16"),
        (split_pairs(1, 3, 99), "is 99; the shards hold 21"),
    ],
)
def test_shards_that_say_something_else(tmp_path: Path, pairs: list, why: str) -> None:  # type: ignore[type-arg]
    one, two, three = shards()
    two.pairs = pairs
    assert why in " ".join(told(inspected(written(tmp_path, [one, two, three])))["gguf/split-disagrees"])


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (honest_tensors()[0], "is in m-00001-of-00003.gguf too"),
        (matrix("blk.9.attn_q.weight", 64, 64), "the first shard declares 2 blocks"),
        (matrix("blk.1.ffn_extra.weight", 64, 64), "the shards hold 22"),
    ],
)
def test_tensors_of_another_model(tmp_path: Path, tensor: Tensor, why: str) -> None:
    one, two, three = shards()
    two.tensors = [*two.tensors, tensor]
    assert why in " ".join(told(inspected(written(tmp_path, [one, two, three])))["gguf/split-disagrees"])


def test_a_tensor_of_another_shape_than_the_first_shard_declares(tmp_path: Path) -> None:
    one, two, three = shards()
    two.tensors = [
        matrix(str(t.name), 32, 128) if t.name == "blk.1.attn_q.weight" else t for t in two.tensors
    ]
    assert "in the first shard" in " ".join(
        told(inspected(written(tmp_path, [one, two, three])))["gguf/split-disagrees"]
    )


def test_metadata_of_later_shards(tmp_path: Path) -> None:
    one, two, three = shards()
    two.pairs = [("general.architecture", STRING, "llama"), *two.pairs]
    assert told(inspected(written(tmp_path, [one, two, three]))) == {}
    three.pairs = [("general.architecture", STRING, "qwen2"), ("a.new", U32, 1), *three.pairs]
    assert told(inspected(written(tmp_path, [one, two, three]))) == {
        "gguf/shard-metadata": [
            "medium m-00003-of-00003.gguf:general.architecture: is 'qwen2'; the first shard has 'llama'",
            "medium m-00003-of-00003.gguf:a.new: is not in the first shard",
        ]
    }


@pytest.mark.parametrize(("numbers", "count"), [([0], 1), ([1], 0), ([5], 3), ([1], 99999)])
def test_names_that_cannot_be(tmp_path: Path, numbers: list[int], count: int) -> None:
    for number in numbers:
        GgufBuilder().write(tmp_path / f"m-{number:05d}-of-{count:05d}.gguf")
    assert "gguf/split-disagrees" in told(inspected(tmp_path))


def test_sets_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    written(tmp_path, [*shards()])
    written(tmp_path / "other", [*shards(2)])
    assert inspected(tmp_path).findings == []


def test_an_adapter_beside_its_model(tmp_path: Path) -> None:
    honest_gguf().write(tmp_path / "model.gguf")
    pairs = {"general.type": (STRING, "adapter"), "adapter.type": (STRING, "lora")}

    def adapter(width: int) -> GgufBuilder:
        halves = [
            Tensor.full("blk.0.attn_q.weight.lora_a", (width, 4)),
            Tensor.full("blk.0.attn_q.weight.lora_b", (4, 64)),
        ]
        return honest_gguf(pairs, tensors=halves)

    adapter(64).write(tmp_path / "adapter.gguf")
    assert inspected(tmp_path).findings == []
    adapter(96).write(tmp_path / "adapter.gguf")
    assert told(inspected(tmp_path)) == {
        "adapter/other-model": [
            "high adapter.gguf:blk.0.attn_q.weight.lora_a: is for a size of 96, the model's blk.0.attn_q.weight has 64"
        ]
    }


def test_rules_have_sources() -> None:
    assert all(rule.sources and rule.id.startswith("gguf/") for rule in BOOK.rules)

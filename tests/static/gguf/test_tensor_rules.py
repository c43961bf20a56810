import pytest
from attacks.gguf_builder import GgufBuilder, Tensor, small_model
from gguf_seen import Look

from qaudit.static.gguf.tensor_rules import overflow
from qaudit.static.gguf.walk import TensorEntry

DATA = bytes(range(1, 129)) * 4


def plus(*tensors: Tensor) -> bytes:
    builder = small_model()
    builder.tensors += tensors
    return builder.build()


def placed(*offsets: int) -> bytes:
    tensors = [Tensor(f"t{i}", (32,), 0, DATA[:128], offset) for i, offset in enumerate(offsets)]
    return GgufBuilder(tensors=tensors).build()


@pytest.mark.parametrize(
    ("tensor", "rule", "severity", "told"),
    [
        (Tensor("x", (1,) * 5, 0, bytes(4)), "too-many-dimensions", "high", "5 dimensions"),
        (Tensor("x", (1,) * 9, 0, bytes(4)), "too-many-dimensions", "critical", "9 dimensions"),
        (Tensor("x", (), 0, bytes(4), dimensions=1 << 30), "too-many-dimensions", "critical", "claims 1073741824"),
        (Tensor("x", (0, 4), 0, b""), "bad-dimension", "medium", "no elements"),
        (Tensor("x", ((1 << 64) - 1,), 0, b""), "bad-dimension", "critical", "negative"),
        (Tensor("x", (), 0, bytes(4)), "bad-dimension", "low", "no dimensions"),
        (Tensor("x", (1 << 32, 1 << 31, 2), 0, b""), "size-overflow", "critical", "over 2^63"),
        (Tensor("x", (1 << 62,), 28, b""), "size-overflow", "critical", "over 2^64"),
        # 2^64 - 16 bytes wrap to zero only when they are padded
        (Tensor("x", (4, (1 << 30) - 1, (1 << 30) + 1), 0, b""), "size-overflow", "critical", "over 2^64"),
        # zeros after an overflow do not take it back
        (Tensor("x", (1 << 62, 4, 0), 0, b""), "size-overflow", "critical", "over 2^63"),
        (Tensor("x", (256,), 250, bytes(512)), "unknown-type", "high", "type 250"),
        (Tensor("x", (256,), 0xFFFFFFFF, bytes(512)), "unknown-type", "critical", "type -1"),
        (Tensor("x", (256,), 44, bytes(512)), "unknown-type", "medium", "type 44"),
        (Tensor("x", (256,), 5, bytes(512)), "removed-type", "medium", "Q4_3"),
        (Tensor("x", (256,), 139, bytes(160)), "fork-type", "low", "ik_llama.cpp"),
        (Tensor("x", (33, 2), 8, bytes(68)), "partial-block", "high", "no multiple of 32"),
        (Tensor("x", (1 << 20,), 0, bytes(64)), "tensor-past-end", "critical", "the file at"),
        (Tensor("x", (1 << 20,), 12, bytes(144)), "tensor-past-end", "critical", "Q4_K"),
        (Tensor("x", (1 << 20,), 250, bytes(64)), "tensor-past-end", "critical", "at least"),
        (Tensor("x", (1 << 20,), 139, bytes(64)), "tensor-past-end", "critical", "at least"),
        (Tensor("x", (32,), 0, bytes(128), offset=(1 << 64) - 32), "tensor-past-end", "critical", "the file at"),
    ],
)  # fmt: skip
def test_each_rule(look: Look, tensor: Tensor, rule: str, severity: str, told: str) -> None:
    seen = look(plus(tensor))
    assert seen.grave[f"gguf/{rule}"] == severity
    assert told in seen.evidence(rule)


def test_a_file_that_is_cut_off_reaches_past_its_end(look: Look) -> None:
    assert look(small_model().build()[:-200]).grave == {"gguf/tensor-past-end": "critical"}


def test_sizes_that_only_together_are_too_large(look: Look) -> None:
    huge = [Tensor(f"x{i}", (1 << 61,), 24, b"", offset=0) for i in range(9)]
    assert "all tensors up to here" in look(plus(*huge)).evidence("size-overflow")


@pytest.mark.parametrize(
    ("offsets", "rules"),
    [
        ((0, 128), {}),
        ((0, 130), {"misaligned-offset": "high", "gap": "high"}),
        ((0, 64), {"overlapping-tensors": "high", "trailing-bytes": "high"}),
        ((0, 0), {"overlapping-tensors": "high", "trailing-bytes": "high"}),
        ((128, 0), {"out-of-order": "medium"}),
    ],
)
def test_places(look: Look, offsets: tuple[int, ...], rules: dict[str, str]) -> None:
    seen = look(placed(*offsets) if offsets != (0, 130) else placed(0, 130) + bytes(32))
    ends = {"gguf/trailing-bytes"} if offsets == (0, 130) else set()
    assert {k: v for k, v in seen.grave.items() if k not in ends} == {
        f"gguf/{k}": v for k, v in rules.items()
    }


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (0, 4),
        (1, 2),
        (2, 18 / 32),
        (8, 34 / 32),
        (12, 144 / 256),
        (14, 210 / 256),
        (30, 2),
        (39, 17 / 32),
        (42, 18 / 64),
    ],
)
def test_honest_tensors_of_every_sort_are_fine(look: Look, kind: int, size: float) -> None:
    assert look(plus(Tensor("x.weight", (256, 3), kind, bytes(int(768 * size))))).findings == []


def test_a_file_of_bitnet_is_a_forks_not_a_removed_type(look: Look) -> None:
    assert look(plus(Tensor("x", (256,), 36, bytes(64 + 32)))).grave == {"gguf/fork-type": "low"}
    assert (
        "gguf/removed-type"
        in look(plus(Tensor("x", (256,), 36, bytes(512)), Tensor("y", (8,), 0, bytes(32)))).grave
    )


def test_the_second_reading_of_a_number_is_a_forks(look: Look) -> None:
    following = Tensor("y.weight", (8,), 0, bytes(32))
    assert look(plus(Tensor("x.weight", (256, 8), 42, bytes(8 * 68)), following)).grave == {
        "gguf/fork-type": "low"
    }


def test_overflow_says_which_product() -> None:
    assert overflow(TensorEntry(b"x", (1 << 40, 1 << 40), 0, 0, 0), None, 32) is not None
    assert overflow(TensorEntry(b"x", (4096, 4096), 0, 0, 0), 4 << 24, 32) is None
    # dimensions of thousands of bits are told too
    assert overflow(TensorEntry(b"x", ((1 << 64) - 1,) * 32, 0, 0, 0), None, 32) is not None

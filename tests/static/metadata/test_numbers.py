import math
from collections.abc import Callable

from attacks.gguf_builder import ARRAY, BOOL, F32, I32, STRING, U16, U32, Tensor

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.numbers import (
    elements,
    holds_model,
    is_matrix,
    is_quantized,
    is_shard,
    matrix_bits,
    real_number,
    whole_number,
    whole_numbers,
)

Make = Callable[..., GgufWalk]


def test_numbers_are_told_from_everything_else(walked: Make) -> None:
    walk = walked(
        {"a": (U32, 5), "b": (ARRAY, (I32, [1, 2])), "c": (F32, 0.5), "d": (BOOL, True), "e": (STRING, "5"), "f": (ARRAY, (F32, [1.0]))}
    )  # fmt: skip
    assert [whole_number(walk, key) for key in "abcdefg"] == [5, None, None, None, None, None, None]
    assert whole_numbers(walk, "b") == [1, 2]
    assert whole_numbers(walk, "f") == []
    assert [real_number(walk, key) for key in "abcde"] == [5.0, None, 0.5, None, None]


def test_bits_for_each_weight_of_matrices(walked: Make) -> None:
    walk = walked()
    weights, bits = matrix_bits(walk)
    assert weights == {8: 256 * 16}
    assert bits == 8.5
    assert matrix_bits(walk, but=8) == ({}, None)
    assert [is_matrix(entry) for entry in walk.tensors] == [True, True, True, False]
    assert [is_quantized(entry) for entry in walk.tensors] == [True, True, True, False]
    assert elements(walk.tensors[0]) == 2048


def test_an_unknown_type_makes_the_bits_unknown(walked: Make) -> None:
    _, bits = matrix_bits(walked(tensors=[Tensor("a", (32, 2), 99, b"\0" * 68)]))
    assert bits is None or math.isfinite(bits)
    assert bits is None


def test_what_is_no_whole_model(walked: Make) -> None:
    assert holds_model(walked())
    assert not holds_model(walked(tensors=[]))
    assert not holds_model(walked({"general.type": (STRING, "adapter")}))
    assert not holds_model(walked({"split.count": (U16, 2)}))
    assert is_shard(walked({"split.count": (U16, 2)}))
    assert not is_shard(walked({"split.count": (U16, 1)}))

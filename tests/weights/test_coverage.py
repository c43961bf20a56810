from collections.abc import Mapping

import numpy as np
import pytest

from qaudit.errors import InputError, MalformedFile
from qaudit.weights.coverage import readable, unpaired
from qaudit.weights.matrix_pairs import MatrixPair, Side, pair_sides

MATRIX = "model.layers.0.mlp.up_proj"


def side(tensors: Mapping[str, np.ndarray]) -> Side:
    held = {name: np.atleast_2d(tensor).astype(np.float32) for name, tensor in tensors.items()}
    return Side(
        {name: (tensor.shape[0], tensor.shape[1]) for name, tensor in held.items()},
        lambda name, start, stop: held[name][start:stop],
        dict.fromkeys(held, "F32"),
    )


def left_of(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> list[str]:
    sides = side(ours), side(theirs)
    return [left.name for left in unpaired(*sides, pair_sides(*sides, "m"))]


def test_what_only_one_side_has_is_named() -> None:
    both = {MATRIX: np.ones((2, 4))}
    assert left_of(both, both) == []
    assert left_of({**both, "mm.projector": np.ones((2, 2))}, both) == ["mm.projector"]
    assert left_of(both, {**both, "model.layers.1.mlp.up_proj": np.ones((2, 4))}) == [
        "model.layers.1.mlp.up_proj"
    ]


def test_a_bias_of_zeros_and_a_runtimes_buffers_change_nothing() -> None:
    both = {MATRIX: np.ones((2, 4))}
    assert left_of({**both, f"{MATRIX}.bias": np.zeros(2), "rope_freqs": np.ones(8)}, both) == []
    assert left_of({**both, f"{MATRIX}.bias": np.array([0.0, 1e-3])}, both) == [f"{MATRIX}.bias"]
    # of the reference's own biases none is left out for being zero in somebody's hands
    assert left_of(both, {**both, f"{MATRIX}.bias": np.zeros(2)}) == [f"{MATRIX}.bias"]


def pair_that(error: Exception | None) -> MatrixPair:
    def read(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        if error is not None:
            raise error
        return np.ones((stop - start, 4), np.float32), np.ones((stop - start, 4), np.float32)

    return MatrixPair(MATRIX, 0, "up", (2, 4), "XQ9", read)


def test_what_nothing_decodes_is_left_out_with_the_reason() -> None:
    good = pair_that(None)
    kept, left = readable([good, pair_that(InputError("XQ9 is not a type for files; nothing decodes it"))])
    assert kept == [good]
    assert [(one.name, one.why) for one in left] == [
        (MATRIX, "XQ9 is not a type for files; nothing decodes it")
    ]


def test_a_file_that_lies_is_an_error_and_no_gap() -> None:
    with pytest.raises(MalformedFile):
        readable([pair_that(MalformedFile("m.gguf", "ends too early"))])

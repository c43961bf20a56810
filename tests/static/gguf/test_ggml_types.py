import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from qaudit.static.gguf.ggml_types import (
    FORKS,
    GGML,
    PACKINGS,
    REMOVED,
    fork_of,
    is_known,
    least_bytes,
    type_label,
)


@pytest.mark.parametrize("kind", [k for k in GGML_QUANT_SIZES if k != GGMLQuantizationType.Q8_1])
def test_sizes_are_those_of_gguf_py(kind: GGMLQuantizationType) -> None:
    packing = PACKINGS[kind][0]
    assert (packing.name, (packing.weights, packing.bytes)) == (kind.name, GGML_QUANT_SIZES[kind])
    assert packing.origin == GGML


def test_sizes_of_tensors() -> None:
    assert PACKINGS[12][0].size((256, 3)) == 3 * 144
    assert PACKINGS[12][0].size((255, 3)) is None
    assert PACKINGS[0][0].size(()) == 4
    assert PACKINGS[0][0].size((1 << 62, 1 << 62)) == 4 << 124
    # two readings of one number
    assert [packing.size((256,)) for packing in PACKINGS[42]] == [4 * 18, 2 * 34]
    assert PACKINGS[36][0].size((256, 2)) == 128 + 32


@pytest.mark.parametrize(
    ("number", "label", "fork", "known"),
    [
        (2, "Q4_0", None, True),
        (4, "Q4_2 (removed from ggml)", None, True),
        (36, "I2_S (bitnet.cpp)", "bitnet.cpp", True),
        (137, "IQ2_K (ik_llama.cpp)", "ik_llama.cpp", True),
        (212, "interleaved type 212 (ik_llama.cpp)", "ik_llama.cpp", True),
        (250, "unknown type 250", None, False),
        (-1, "unknown type -1", None, False),
        (43, "unknown type 43", None, False),
    ],
)
def test_names(number: int, label: str, fork: str | None, known: bool) -> None:
    assert (type_label(number), fork_of(number), is_known(number)) == (label, fork, known)


def test_no_number_is_both_ggmls_and_a_forks() -> None:
    own = {number for number, packings in PACKINGS.items() if packings[0].origin == GGML}
    assert not own & set(FORKS)
    assert not own & set(REMOVED)


def test_least_bytes_hold_for_every_type() -> None:
    for packings in PACKINGS.values():
        for packing in packings:
            size = packing.size((512, 3))
            assert size is not None
            assert size >= least_bytes((512, 3))

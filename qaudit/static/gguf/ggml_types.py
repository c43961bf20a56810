"""The numbers that say how a tensor's weights are packed: ggml's own, those it gave up, and forks'.

Block and byte sizes: ggml's type traits (ggml.c) of llama.cpp; https://github.com/ggml-org/ggml. A fork may
give a number of ggml's another meaning, so one number can have several readings.
"""

from dataclasses import dataclass

GGML = "ggml"


@dataclass(frozen=True, slots=True)
class Packing:
    """One reading of a type number.

    Attributes:
        weights: in a block, along a row.
        bytes: of a block.
        origin: `ggml`, or the fork that writes it.
        tail: bytes after the last block of a tensor.
    """

    name: str
    weights: int
    bytes: int
    origin: str = GGML
    tail: int = 0

    def size(self, dims: tuple[int, ...]) -> int | None:
        """Return the bytes of a tensor, unbounded; None where its rows are not whole blocks."""
        if dims and dims[0] % self.weights:
            return None
        elements = 1
        for dimension in dims:
            elements *= dimension
        return elements // self.weights * self.bytes + self.tail


_GGML = """
0 F32 1 4|1 F16 1 2|2 Q4_0 32 18|3 Q4_1 32 20|6 Q5_0 32 22|7 Q5_1 32 24|8 Q8_0 32 34|9 Q8_1 32 36
10 Q2_K 256 84|11 Q3_K 256 110|12 Q4_K 256 144|13 Q5_K 256 176|14 Q6_K 256 210|15 Q8_K 256 292
16 IQ2_XXS 256 66|17 IQ2_XS 256 74|18 IQ3_XXS 256 98|19 IQ1_S 256 50|20 IQ4_NL 32 18|21 IQ3_S 256 110
22 IQ2_S 256 82|23 IQ4_XS 256 136|24 I8 1 1|25 I16 1 2|26 I32 1 4|27 I64 1 8|28 F64 1 8|29 IQ1_M 256 56
30 BF16 1 2|34 TQ1_0 256 54|35 TQ2_0 256 66|39 MXFP4 32 17|40 NVFP4 64 36|41 Q1_0 128 18|42 Q2_0 64 18
"""
# numbers that ggml took back: the files were written, and no runtime of today reads them
REMOVED = {
    4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8",
    36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
}  # fmt: skip
_IK = "ik_llama.cpp"
# number -> name, fork; the packing of most has a prefix or an interleaving per row, so no size is given
FORKS = {
    97: ("Q8_0_X4", _IK), 98: ("Q8_1_X4", _IK), 99: ("Q8_2_X4", _IK), 133: ("Q6_0", _IK),
    134: ("IQ1_BN", _IK), 135: ("IQ2_BN", _IK), 136: ("Q8_K64", _IK), 137: ("IQ2_K", _IK),
    138: ("IQ3_K", _IK), 139: ("IQ4_K", _IK), 140: ("IQ5_K", _IK), 141: ("IQ6_K", _IK),
    142: ("PQ2_0", "prism"), 143: ("PTQ1_0", "prism"), 144: ("IQ4_KS", _IK), 145: ("IQ2_KS", _IK),
    146: ("IQ4_KSS", _IK), 147: ("Q8_K16", _IK), 148: ("Q8_K32", _IK), 149: ("Q8_KR8", _IK),
    150: ("Q8_K128", _IK), 151: ("Q8_KV", _IK), 152: ("IQ5_KS", _IK), 153: ("IQ2_KT", _IK),
    154: ("IQ3_KT", _IK), 155: ("IQ4_KT", _IK), 156: ("IQ3_KS", _IK), 157: ("IQ2_KL", _IK),
    158: ("IQ1_KT", _IK),
}  # fmt: skip
# ik_llama.cpp packs rows of these types together under a number of its own, higher by 200
_INTERLEAVED = frozenset(
    200 + base
    for base in (
        2,
        6,
        8,
        *range(10, 15),
        *range(16, 24),
        29,
        30,
        133,
        135,
        *range(137, 142),
        144,
        152,
        198,
        199,
    )
)
PACKINGS: dict[int, tuple[Packing, ...]] = {}
for _line in _GGML.replace("|", "\n").split("\n"):
    if _line:
        _number, _name, _weights, _bytes = _line.split()
        PACKINGS[int(_number)] = (Packing(_name, int(_weights), int(_bytes)),)
# gguf-py reads Q8_1 as 40 bytes, as it was before 2024
PACKINGS[9] += (Packing("Q8_1", 32, 40, "gguf-py"),)
PACKINGS[36] = (Packing("I2_S", 4, 1, "bitnet.cpp", tail=32),)
PACKINGS[42] += (Packing("Q2_0", 128, 34, "prism"),)

# per row or block nothing is packed tighter than this, whoever packs it
LEAST_BITS_PER_WEIGHT = 1
PLAIN_FLOATS = frozenset({0, 1, 28, 30})
INTEGERS = frozenset({24, 25, 26, 27})


def type_label(type_id: int) -> str:
    """Return the name of a type for a person, with its fork where it is one's."""
    if type_id in PACKINGS:
        first = PACKINGS[type_id][0]
        return first.name if first.origin == GGML else f"{first.name} ({first.origin})"
    if type_id in REMOVED:
        return f"{REMOVED[type_id]} (removed from ggml)"
    if type_id in FORKS:
        return "{} ({})".format(*FORKS[type_id])
    if type_id in _INTERLEAVED:
        return f"interleaved type {type_id} ({_IK})"
    return f"unknown type {type_id}"


def fork_of(type_id: int) -> str | None:
    """Return the fork that alone reads a type, or None for ggml's own, removed and unknown ones."""
    if type_id in PACKINGS:
        first = PACKINGS[type_id][0]
        return None if first.origin == GGML else first.origin
    if type_id in FORKS:
        return FORKS[type_id][1]
    return _IK if type_id in _INTERLEAVED else None


def is_known(type_id: int) -> bool:
    """Say whether ggml, in the past or today, or a fork writes this type."""
    return type_id in PACKINGS or type_id in REMOVED or fork_of(type_id) is not None


def least_bytes(dims: tuple[int, ...]) -> int:
    """Return how many bytes a tensor takes at the very least, whatever its type."""
    elements = 1
    for dimension in dims:
        elements *= dimension
    return (elements * LEAST_BITS_PER_WEIGHT + 7) // 8

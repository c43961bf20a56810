"""Rules over what a folder says about its quantization, in several files at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qaudit.static.configs.quantization import ALIKE, KNOWN, OTHERS, Claim
from qaudit.static.rules import Hit, RuleBook


@dataclass(frozen=True, slots=True)
class Claims:
    """All statements of one folder, and the parts of it that are no statement though they should be."""

    place: str
    stated: tuple[Claim, ...]
    broken: tuple[str, ...] = ()


BOOK: RuleBook[Claims] = RuleBook("quantization", "what configuration says about packed weights")
SOURCE = "https://huggingface.co/docs/transformers/main_classes/quantization"
AGAIN = "compare with the publisher's files; each loader believes another one of them"
BITS = range(1, 17)
_SIZES = {"awq": (4,), "gptq": (2, 3, 4, 5, 6, 7, 8), "hqq": (1, 2, 3, 4, 8), "bitsandbytes": (4, 8)}


@BOOK.rule(
    "malformed", "medium",
    title="a quantization statement is not one",
    why="Loaders differ in what they take for granted when a key is missing or of another type.",
    remedy=AGAIN, sources=(SOURCE,),
)  # fmt: skip
def malformed(claims: Claims) -> Iterator[Hit]:
    """Find statements that are no object, and keys of a wrong type."""
    for place in claims.broken:
        yield Hit(place, "is not an object")
    for claim in claims.stated:
        for key in ("bits", "w_bit", "group_size", "q_group_size", "nbits"):
            value = claim.raw.get(key)
            if value is not None and type(value) is not int:
                yield Hit(f"{claim.place}.{key}", f"{str(value)[:80]!a} is not a whole number")
        for key in ("sym", "desc_act", "zero_point"):
            value = claim.raw.get(key)
            if key in claim.raw and value is not None and not isinstance(value, bool):
                yield Hit(f"{claim.place}.{key}", f"{str(value)[:80]!a} is neither true nor false")


@BOOK.rule(
    "impossible", "high",
    title="a number of bits or a group that the method does not have",
    why="Kernels compute sizes and places from these: what does not fit is read outside of its tensor.",
    remedy="do not load it", sources=(SOURCE,),
)  # fmt: skip
def impossible(claims: Claims) -> Iterator[Hit]:
    """Hold bits and group sizes against what the methods allow."""
    for claim in claims.stated:
        allowed = _SIZES.get(claim.method, BITS)
        if claim.bits is not None and claim.bits not in allowed:
            yield Hit(f"{claim.place}.bits", f"{claim.bits} with {claim.method or 'no method'}")
        group = claim.group_size
        if group is not None and group not in (-1, 0) and not 0 < group <= 1 << 20:
            yield Hit(f"{claim.place}.group_size", str(group)[:60])


@BOOK.rule(
    "disagreement", "high",
    title="two files say different things about the quantization",
    why="One runtime believes config.json, another quantize_config.json: the same bytes become two models.",
    remedy=AGAIN, sources=(SOURCE,),
)  # fmt: skip
def disagreement(claims: Claims) -> Iterator[Hit]:
    """Compare method, bits, group and layout of all statements with the first."""
    for first, other in _pairs(claims.stated):
        for key in ("method", "bits", "group_size", "layout"):
            one, two = getattr(first, key), getattr(other, key)
            # tools that write in another's layout name both
            kin = key in ("method", "layout") and (first.method not in KNOWN or other.method not in KNOWN)
            if one not in (None, "") and two not in (None, "") and one != two and not kin:
                yield Hit(other.place, f"{key} {str(two)[:60]!a}; {first.place} says {str(one)[:60]!a}")


@BOOK.rule(
    "disagreement-order", "medium",
    title="two files say different things about zeros or the order of inputs",
    why="Runtimes choose their kernel by these keys: with the wrong one weights are decoded to other values.",
    remedy=AGAIN, sources=(SOURCE,),
)  # fmt: skip
def disagreement_order(claims: Claims) -> Iterator[Hit]:
    """Compare sym and desc_act."""
    for first, other in _pairs(claims.stated):
        for key in ("sym", "desc_act"):
            one, two = getattr(first, key), getattr(other, key)
            if one is not None and two is not None and one != two:
                yield Hit(other.place, f"{key} {two}; {first.place} says {one}")


@BOOK.rule(
    "unknown-method", "low",
    title="an unknown quantization method",
    why="Nothing here knows how such weights are packed, so their layout was not checked.",
    remedy="find out which program reads it", sources=(SOURCE,),
)  # fmt: skip
def unknown(claims: Claims) -> Iterator[Hit]:
    """Find methods that no loader is known to have."""
    for claim in claims.stated:
        if claim.method and claim.method not in KNOWN | ALIKE | OTHERS:
            yield Hit(claim.place, ascii(claim.method))


def _pairs(stated: Sequence[Claim]) -> Iterator[tuple[Claim, Claim]]:
    for other in stated[1:]:
        yield stated[0], other

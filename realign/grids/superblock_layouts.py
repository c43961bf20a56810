"""ggml's block types: how many weights share what, and with how many bits."""

from dataclasses import dataclass
from typing import Literal

from qaudit.errors import InputError

Ends = Literal["affine", "free affine", "signed", "mirrored"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One type.

    Attributes:
        name: ggml's.
        block: weights that are stored together.
        group: weights that share a scale.
        bits: of a code.
        ends: "affine": scale * code - minimum, neither negative; "free affine": the minimum has any
            sign; "signed": codes from -2^(bits-1), the scale has any sign; "mirrored": codes from
            -(2^(bits-1) - 1).
        levels: the largest integer that a group's scale (and minimum) is of the block's; 0 where the
            block is one group, whose scale is a float16 of its own.
    """

    name: str
    block: int
    group: int
    bits: int
    ends: Ends
    levels: int

    @property
    def groups(self) -> int:
        """Groups of a block."""
        return self.block // self.group

    @property
    def affine(self) -> bool:
        """Whether codes start at 0 and groups have a minimum."""
        return self.ends in ("affine", "free affine")

    @property
    def code_range(self) -> tuple[int, int]:
        """The smallest and the largest code."""
        if self.affine:
            return 0, (1 << self.bits) - 1
        half = 1 << (self.bits - 1)
        return (-half if self.ends == "signed" else 1 - half), half - 1


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("Q2_K", 256, 16, 2, "affine", 15),
        Layout("Q3_K", 256, 16, 3, "signed", 32),
        Layout("Q4_K", 256, 32, 4, "affine", 63),
        Layout("Q5_K", 256, 32, 5, "affine", 63),
        Layout("Q6_K", 256, 16, 6, "signed", 128),
        Layout("Q4_0", 32, 32, 4, "signed", 0),
        Layout("Q4_1", 32, 32, 4, "free affine", 0),
        Layout("Q5_0", 32, 32, 5, "signed", 0),
        Layout("Q5_1", 32, 32, 5, "free affine", 0),
        Layout("Q8_0", 32, 32, 8, "mirrored", 0),
    )
}


def layout_of(name: str) -> Layout:
    """Return a type's layout.

    Raises:
        InputError: a type whose scales cannot be chosen here (lookup tables: IQ types and others).
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        raise InputError(
            f"{name}: its scales cannot be learned here; choose one of {', '.join(LAYOUTS)}"
        ) from None

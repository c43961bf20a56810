"""What does not fit about the parts of one packed module, as the checks of all layouts tell it."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from qaudit.findings import Severity
from qaudit.static.tensors.modules import Module
from qaudit.static.tensors.shapes import shape_text

Code = Literal["part-missing", "part-type", "part-shape", "bits", "group", "state"]
PER_WORD_BITS = 32


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing about one module.

    Attributes:
        code: the rule of the family `layout` that it breaks.
        severity: where it is not the rule's own.
    """

    code: str
    place: str
    text: str
    severity: Severity | None = None


def required(module: Module, *parts: str) -> Iterator[Fault]:
    """Tell which parts a module lacks."""
    for part in parts:
        if part not in module.parts:
            yield Fault(
                "part-missing", module.place, f"has {', '.join(sorted(module.parts))[:160]}, no {part}"
            )


def typed(module: Module, part: str, types: Collection[str]) -> Iterator[Fault]:
    """Tell where a part has another type than its layout."""
    if part in module.parts and module.dtype(part) not in types:
        text = f"{part} is {module.dtype(part)[:40]}, the layout has {' or '.join(sorted(types))}"
        yield Fault("part-type", module.place, text)


def shaped(module: Module, part: str, *shapes: tuple[int, ...]) -> Iterator[Fault]:
    """Tell where a part has none of the shapes that the other parts ask for."""
    if part in module.parts and module.shape(part) not in shapes:
        wanted = " or ".join(dict.fromkeys(shape_text(shape) for shape in shapes))
        yield Fault(
            "part-shape",
            module.place,
            f"{part} is {shape_text(module.shape(part))}, the others ask for {wanted}",
        )


def up(count: int, by: int) -> int:
    """Return the quotient rounded up."""
    return math.ceil(count / by) if count < 1 << 50 else -(-count // by)

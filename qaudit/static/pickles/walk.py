"""What a walk over a pickle saw; rules decide what it means."""

from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["stop", "broken", "truncated", "limit"]


@dataclass(frozen=True, slots=True)
class Import:
    """One global that a pickle asks for.

    Attributes:
        module: empty where the names are put together while it loads.
        name: may hold dots, which protocol 4 follows attribute by attribute.
        offset: of the opcode in the file.
        opcode: `GLOBAL`, `STACK_GLOBAL`, `INST` or `found` for one between or behind the pickles.
    """

    module: str
    name: str
    offset: int
    opcode: str

    @property
    def full_name(self) -> str:
        """Both names, joined by a dot."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that is called, or changed, while the pickle loads.

    Attributes:
        target: the global, or None where what is called was itself made by a call.
        opcode: `REDUCE`, `INST`, `OBJ`, `NEWOBJ`, `NEWOBJ_EX` or `BUILD`.
        arguments: as far as they are constants, shortened.
    """

    target: Import | None
    offset: int
    opcode: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the stream that no pickler writes; `code` says what, in one word or two."""

    code: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """A byte string in a pickle that is a file of its own.

    Attributes:
        text: whether it is written as a text, one character for each byte, as protocol 2 has it.
    """

    offset: int
    length: int
    content: str
    text: bool = False


@dataclass(slots=True)
class PickleWalk:
    """Everything that was seen in one file.

    Attributes:
        name: of the file, for locations.
        size: of the file in bytes.
        pickles: how many came to their STOP.
        end: where the last of them ended.
        imports: by module and name, where each was first asked for.
        calls: the first call of each target, and changes of globals.
        extension_codes: (offset, code) of globals that are named by a number only.
        odd_persistent: offset of the first persistent id that is not torch's.
        far_memo: a memo entry that makes a loader ask for far more memory than the file is.
        limit: what stopped the walk before the end of the file; empty where nothing did.
        storages: where the bulk data of torch's old format begins; None elsewhere.
        searched: how many bytes outside of pickles were searched.
        base: where in its file the walk begins, for locations.
        begins: whether the file begins as pickles do.
        doublings: how deep values hold the one before twice.
        hidden: offsets of pickles amid other bytes.
    """

    name: str
    size: int
    pickles: int = 0
    operations: int = 0
    end: int = 0
    protocols: set[int] = field(default_factory=set)
    imports: dict[tuple[str, str], Import] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    embedded: list[Embedded] = field(default_factory=list)
    extension_codes: list[tuple[int, int]] = field(default_factory=list)
    odd_persistent: int | None = None
    persistent: int = 0
    far_memo: int = 0
    limit: str = ""
    storages: int | None = None
    searched: int = 0
    depth: int = 0
    base: int = 0
    begins: bool = False
    doublings: int = 0
    hidden: list[int] = field(default_factory=list)

    def place(self, offset: int) -> str:
        """Return a location for a person."""
        return f"{self.name}@byte {self.base + offset}"

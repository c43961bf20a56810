"""What a walk over an archive saw; rules decide what it means."""

from dataclasses import dataclass, field
from typing import Literal

MemberKind = Literal["file", "folder", "link", "hard-link", "device"]

MAX_FAULTS = 1000
STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the archive lists it.

    Attributes:
        name: as written, decoded as well as it goes.
        at: where its data begins, in the archive's bytes.
        packed: bytes that it takes in the archive.
        size: bytes that it has when unpacked, as declared.
        method: of compression, as zip numbers it; 0 in a tar.
        link: where a link leads.
        crc: of its data, where the format has one.
        encrypted: as its flags say.
        local_method: where a zip's other header says another one.
    """

    name: str
    at: int
    packed: int
    size: int
    method: int = STORED
    kind: MemberKind = "file"
    link: str = ""
    crc: int | None = None
    encrypted: bool = False
    local_method: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the layout that no writer of archives does.

    Attributes:
        code: names the rule that tells it.
        content: what lies there by its first bytes.
        at: where it begins, with `length`, where it is a stretch of bytes that no member takes.
    """

    code: str
    location: str
    text: str
    content: str = ""
    at: int = 0
    length: int = 0


@dataclass(slots=True)
class ArchiveWalk:
    """Everything that was seen of one archive's layout.

    Attributes:
        name: of the archive, for locations.
        format: `zip`, `tar`, `gzip`, ...
        limit: why not all of it was read; empty where it was.
    """

    name: str
    size: int
    format: str
    members: list[Member] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    limit: str = ""

    def fault(self, code: str, location: str, text: str) -> None:
        """Note something odd; a hostile archive can hold a million of them, so only the first are kept."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(code, location, text))

    def stretch(self, code: str, at: int, length: int, text: str, content: str) -> None:
        """Note bytes that belong to no member."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(code, f"{self.name}@byte {at}", text, content, at, length))

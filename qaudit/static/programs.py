"""Programs that begin somewhere near the start of bytes that should be numbers.

One byte in front of a program hides it from whoever looks at first bytes only, and what loads it skips that
byte. At each place where a magic number stands the fields of its header are checked, so that weights, which
hold every short run of bytes somewhere, are none.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, Literal

from qaudit.static.lazy_pattern import LazyPattern

# byte order by the fifth and sixth byte of an ELF, types of object files, processors in use
_ELF_ORDER: Final[dict[int, Literal["little", "big"]]] = {1: "little", 2: "big"}
_ELF_MACHINES: Final = frozenset({2, 3, 8, 20, 21, 22, 40, 43, 62, 183, 243, 247, 258})
_PE_MACHINES: Final = frozenset({0x14C, 0x1C0, 0x1C2, 0x1C4, 0x200, 0x8664, 0xAA64, 0x5064, 0x6264})
_MACH_PROCESSORS: Final = frozenset({7, 12, 18, 0x1000007, 0x100000C, 0x200000C, 0x1000012})
_SCRIPT: Final = LazyPattern(
    rb"#! ?/(?:[\w.-]{1,40}/){1,6}[\w.-]{1,40}(?:[ \t][ -~]{0,80})?\r?\n(?:[\t\r\n -~]{8}|[\t\r\n -~]{0,7}\Z)"
)
_MOST_LINE: Final = 512  # bytes of a script that are looked at
_MOST_COMMANDS: Final = 4096  # of a Mach-O
NEAR: Final = 1024  # bytes in which a program begins; the longest block of weights has 292


def program_within(data: bytes) -> tuple[int, str] | None:
    """Return where the first program begins that is found, and what it is; None where there is none.

    Args:
        data: a few kilobytes, of which a program is to begin in the first; a header that is cut off is none.
    """
    for magic, name, holds in _KINDS:
        for at in _places(data, magic):
            if holds(data, at):
                return at, name
    return None


def _places(data: bytes, magic: bytes) -> Iterator[int]:
    # each of them, however many: a run of empty signatures is not to hide the program behind it
    at = data.find(magic, 0, NEAR)
    while at >= 0:
        yield at
        at = data.find(magic, at + 1, NEAR)


def _elf(data: bytes, at: int) -> bool:
    head = data[at : at + 64]
    if len(head) < 52 or head[4] not in (1, 2) or head[5] not in _ELF_ORDER or head[6] != 1:
        return False
    order = _ELF_ORDER[head[5]]
    kind, machine = (int.from_bytes(head[i : i + 2], order) for i in (16, 18))
    return kind in (1, 2, 3, 4) and machine in _ELF_MACHINES and int.from_bytes(head[20:24], order) == 1


def _pe(data: bytes, at: int) -> bool:
    start = at + int.from_bytes(data[at + 60 : at + 64], "little")
    signature = data[start : start + 24]
    if start < at + 4 or len(signature) < 24 or signature[:4] != b"PE\0\0":
        return False
    machine, sections = struct.unpack("<HH", signature[4:8])
    return machine in _PE_MACHINES and 0 < sections <= 96


def _mach_o(order: Literal["<", ">"]) -> Callable[[bytes, int], bool]:
    def holds(data: bytes, at: int) -> bool:
        head = data[at + 4 : at + 24]
        if len(head) < 20:
            return False
        processor, _, kind, commands, size = struct.unpack(f"{order}5I", head)
        fits = 0 < commands <= _MOST_COMMANDS and 8 * commands <= size < 1 << 24
        return processor in _MACH_PROCESSORS and 0 < kind <= 12 and fits

    return holds


def _fat(data: bytes, at: int) -> bool:
    head = data[at + 4 : at + 28]
    if len(head) < 24:
        return False
    count, processor, _, _, size, power = struct.unpack(">6I", head)
    return 0 < count <= 16 and processor in _MACH_PROCESSORS and size > 0 and power <= 32


def _script(data: bytes, at: int) -> bool:
    return _SCRIPT.match(data[at : at + _MOST_LINE]) is not None


def _whole(data: bytes, at: int) -> bool:
    return True


_KINDS: Final[tuple[tuple[bytes, str, Callable[[bytes, int], bool]], ...]] = (
    (b"\x7fELF", "an ELF program", _elf),
    (b"MZ", "a Windows program", _pe),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program", _mach_o("<")),
    (b"\xce\xfa\xed\xfe", "a Mach-O program", _mach_o("<")),
    (b"\xfe\xed\xfa\xcf", "a Mach-O program", _mach_o(">")),
    (b"\xfe\xed\xfa\xce", "a Mach-O program", _mach_o(">")),
    (b"\xca\xfe\xba\xbe", "a Mach-O program", _fat),
    (b"#!", "a script", _script),
    (b"\0asm\1\0\0\0", "WebAssembly", _whole),
    (b"dex\n03", "Android byte code", _whole),
)

"""Recognises files inside bytes that should be none: by magic, and by what must follow it."""

import codecs
import re
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

from qaudit.static.lazy_pattern import LazyPattern

TEXT_SAMPLE = 4096
SHOWN_TEXT = 80
EOCD = b"PK\5\6"
EOCD_SIZE, MOST_COMMENT = 22, 65535
MOST_CARVED = 20
MOST_TRIED = 5000
TEST_SAMPLE = 64


def _elf(data: bytes) -> bool:
    return data[4:5] in (b"\1", b"\2") and data[5:6] in (b"\1", b"\2") and data[6:7] == b"\1"


def _pe(data: bytes) -> bool:
    if len(data) < 64:
        return False
    at = int.from_bytes(data[60:64], "little")
    return data[at : at + 4] == b"PE\0\0"


def _mach_o(data: bytes) -> bool:
    # a cpu type that is in use: x86, arm, powerpc, each also in 64 bits
    order: Literal["little", "big"] = "little" if data[0] in (0xCE, 0xCF) else "big"
    if len(data) < 8:
        return False
    machine = int.from_bytes(data[4:8], order)
    return machine & 0xFFFFFF in (7, 12, 18)


def _fat_or_class(data: bytes) -> bool:
    # Mach-O for several machines has few of them; a Java class has a version from 45 on
    if len(data) < 8:
        return False
    number = int.from_bytes(data[4:8], "big")
    return 0 < number < 20 or 45 <= number & 0xFFFF < 100


def _pickle(data: bytes) -> bool:
    # a protocol, then an opcode that begins a frame, a container, a global or a text
    return len(data) > 3 and data[1] in b"\2\3\4\5" and data[2:3] in b"\x95c}](X\x8cUKMJN\x88\x89\x8f)q"


def _old_pickle(data: bytes) -> bool:
    return re.match(rb"c[a-zA-Z_][\w.]{0,80}\n[a-zA-Z_]\w{0,80}\n[(qpU}tRX.V]", data) is not None


def _gguf(data: bytes) -> bool:
    return len(data) >= 8 and (data[4:8] in (b"\1\0\0\0", b"\2\0\0\0", b"\3\0\0\0", b"\0\0\0\3"))


def _zip(data: bytes) -> bool:
    return len(data) >= 30 and data[4] < 64 and int.from_bytes(data[26:28], "little") < 1024


def _gzip(data: bytes) -> bool:
    return len(data) >= 10 and data[2] == 8 and data[3] < 32


def _anything(data: bytes) -> bool:
    return True


def _safetensors(data: bytes) -> bool:
    return len(data) >= 10 and 2 <= int.from_bytes(data[:8], "little") <= 100_000_000


# magic, name, what must also hold. Those of 6 bytes and more, or with a test, are looked for anywhere
_MAGICS: tuple[tuple[bytes, str, Callable[[bytes], bool]], ...] = (
    (b"\x7fELF", "an ELF executable or library", _elf),
    (b"MZ", "a Windows executable or library", _pe),
    (b"\xcf\xfa\xed\xfe", "a Mach-O executable or library", _mach_o),
    (b"\xce\xfa\xed\xfe", "a Mach-O executable or library", _mach_o),
    (b"\xfe\xed\xfa\xcf", "a Mach-O executable or library", _mach_o),
    (b"\xfe\xed\xfa\xce", "a Mach-O executable or library", _mach_o),
    (b"\xca\xfe\xba\xbe", "a Mach-O for several machines or a Java class", _fat_or_class),
    (b"PK\3\4", "a zip archive", _zip),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _anything),
    (b"Rar!\x1a\7", "a RAR archive", _anything),
    (b"\xfd7zXZ\0", "an xz archive", _anything),
    (b"\x1f\x8b", "a gzip archive", _gzip),
    (b"BZh91AY&SY", "a bzip2 archive", _anything),
    (b"\x80", "a pickle", _pickle),
    (b"GGUF", "a GGUF file", _gguf),
    (b"%PDF-1.", "a PDF", _anything),
    (b"%PDF-2.", "a PDF", _anything),
    (b"\0asm\1\0\0\0", "WebAssembly", _anything),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", _anything),
    (b"SQLite format 3\0", "an SQLite database", _anything),
    (b"dex\n03", "Android byte code", _anything),
    (b"-----BEGIN ", "a key or certificate", _anything),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", _anything),
    (b"<!DOCTYPE html", "a web page", _anything),
    (b"<html", "a web page", _anything),
    (b"<script", "a script for browsers", _anything),
    (b"version https://git-lfs", "a Git LFS pointer, not the file", _anything),
)  # fmt: skip
_START_ONLY: tuple[tuple[bytes, str, Callable[[bytes], bool]], ...] = (
    (b"#!", "a script", lambda data: data[2:3] in b"/ " and len(data) > 3),
    (b"c", "a pickle", _old_pickle),
    (b"(\xb5/\xfd", "a Zstandard archive", _anything),
    (b"import ", "Python source", _anything),
    (b"@echo off", "a Windows script", _anything),
)
_SEARCHED = {magic: (name, test) for magic, name, test in _MAGICS if len(magic) >= 4 and magic != b"GGUF"}
_ANYWHERE = LazyPattern(b"|".join(re.escape(magic) for magic in _SEARCHED))


def kind_of_start(data: bytes) -> str | None:
    """Return what file the bytes begin, or None where they begin none that is known."""
    for magic, name, test in (*_MAGICS, *_START_ONLY):
        if data.startswith(magic) and test(data):
            return name
    if data[8:9] == b"{" and _safetensors(data) and data[8:10] in (b'{"', b"{ ", b"{}", b"{\n"):
        return "a safetensors file"
    return None


def carved(data: bytes) -> Iterator[tuple[int, str]]:
    """Give offset and kind of each file that begins in the bytes, after zeros or anywhere, a few at most."""
    start = len(data) - len(data.lstrip(b"\0"))
    first = kind_of_start(data[start:])
    if first:
        yield start, first
    found = 1 if first else 0
    for match in islice(_ANYWHERE.compiled.finditer(data, start + 1), MOST_TRIED):
        name, test = _SEARCHED[match.group()]
        if test(data[match.start() : match.start() + TEST_SAMPLE]):
            yield match.start(), name
            found += 1
            if found >= MOST_CARVED:
                return


def described(data: bytes) -> str:
    """Return in a few words what bytes are: which file, what text, or only that they are bytes."""
    for offset, what in carved(data):
        return what if offset == 0 else f"{what} at {offset} bytes in"
    text = data.strip(b"\0")[:TEXT_SAMPLE]
    try:
        # the sample may end in the middle of a character
        told = codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError:
        told = ""
    readable = told.replace("\n", " ").replace("\r", " ").replace("\t", " ")
    if len(readable) >= 4 and readable.isprintable():
        return f"text: {readable[:SHOWN_TEXT]!r}"
    return f"bytes that begin with {data.lstrip(bytes(1))[:16].hex(' ')}"


def zip_at_end(tail: bytes, size: int) -> tuple[int, int] | None:
    """Return where a zip archive's directory begins and how many entries it has, if the file ends in one.

    Programs look for a zip's end from the end of a file, whatever its beginning: Python runs such a file.

    Args:
        tail: the last bytes of the file, 64 KiB and some.
        size: of the file.
    """
    at = tail.rfind(EOCD)
    while at >= 0:
        record = tail[at : at + EOCD_SIZE]
        if len(record) == EOCD_SIZE:
            entries, length, offset, comment = struct.unpack("<HIIH", record[10:])
            begin = size - len(tail) + at
            directory = begin - length
            # what was put before the archive shifts it; the directory must still be right before its end
            fits = comment == len(tail) - at - EOCD_SIZE and directory >= 0 and offset <= directory
            if fits and (entries == 0 or length >= 46 * entries):
                inside = directory - (size - len(tail))
                if inside < 0 or entries == 0 or tail[inside : inside + 4] == b"PK\1\2":
                    return directory, entries
        at = tail.rfind(EOCD, 0, at)
    return None


def is_tar(head: bytes) -> bool:
    """Say whether the first 512 bytes are also a tar header with the right checksum."""
    if len(head) < 512:
        return False
    field = head[148:156].strip(b"\0 ")
    try:
        claimed = int(field, 8) if field else -1
    except ValueError:
        return False
    return claimed == sum(head[:148]) + 8 * 32 + sum(head[156:512])

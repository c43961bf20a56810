"""What is carried where it has no business: a program at the start of a tensor, a payload in encoded text.

Nothing is run or unpacked: the first few kilobytes are decoded and looked at.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.static.kinds import HEAD_BYTES, content_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.programs import program_within

LONG = 400  # characters of an encoded run whatever it is
DECODED = 4096  # characters of a run that are decoded
DIGESTS = (16, 20, 32, 48, 64)  # bytes
_SHOWN: dict[str, str] = {
    "elf": "an ELF program", "pe": "a Windows program", "mach-o": "a Mach-O program or Java class",
    "wasm": "WebAssembly", "llvm-bitcode": "LLVM bitcode", "dex": "Android byte code",
    "ar": "a native library", "script": "a script", "pickle": "a pickle", "zip": "a zip archive",
    "7z": "a 7z archive", "rar": "a RAR archive", "gzip": "gzip data", "xz": "xz data", "bzip2": "bzip2 data",
    "zstd": "zstd data", "lzma": "lzma data", "cab": "a cabinet archive", "tar": "a tar archive",
    "gguf": "another GGUF", "pdf": "a PDF",
    "zlib": "zlib data", "code": "program text", "address": "an address",
}  # fmt: skip
# a pickle that does nothing but hold numbers is harmless, and its first bytes are too few to be sure
_IMPORT = LazyPattern(
    rb"[ci][A-Za-z_][\w.]{0,80}\n[A-Za-z_]\w{0,80}\n"
    rb"|\x8c[\x01-\x50][A-Za-z_][\w.]{0,80}\x94?\x8c[\x01-\x50][A-Za-z_]\w{0,80}\x94?\x93"
)
_RUN = LazyPattern(r"[A-Za-z0-9+/_-]{40,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}")
_ESCAPES = LazyPattern(r"(?:\\x[0-9a-fA-F]{2}){20,}")
_HEX = LazyPattern(r"(?:[0-9a-fA-F]{2}){20,}")
_CODE = LazyPattern(
    rb"#!/|\bimport\s+(?:os|sys|socket|subprocess|ctypes|base64|requests|urllib)\b"
    rb"|\bfrom\s+[\w.]{1,60}\s+import\b"
    rb"|__import__\s*\(|\b(?:eval|exec|compile|system|popen)\s*\(|\bsubprocess\s*\.|\b(?:curl|wget)\s+\S"
    rb"|\bpowershell\b|\bInvoke-\w+|\bIEX\b|<script\b|/bin/(?:ba|z)?sh\b|\bcmd(?:\.exe)?\s+/c\b"
    rb"|\bnc\s+-\w*e\b",
    re.IGNORECASE,
)
_ADDRESS = LazyPattern(rb"\b(?:https?|ftp|wss?)://[^\s\"'<>]{3,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Payload:
    """An encoded run in a text: where, how long, how it is written, and what it holds where that is known."""

    at: int
    length: int
    coding: str
    what: str

    def told(self) -> str:
        """Return it in words."""
        return (
            f"{self.length} characters of {self.coding}{f', which begin as {self.what}' if self.what else ''}"
        )


def carried_file(head: bytes) -> str:
    """Return what program, archive or pickle with an import the first bytes begin; empty for none.

    Pictures, tables and safetensors carry nothing that runs, and are not told.
    """
    for start in (head, head.lstrip(b"\0")) if head[:1] == b"\0" else (head,):
        what = content_of(start[:HEAD_BYTES]) or ""
        if what == "pickle" and not _IMPORT.search(start[:HEAD_BYTES]):
            what = ""
        if what in _SHOWN:
            return _SHOWN[what]
    return ""


def begun_file(head: bytes) -> str:
    """Return what a tensor's first bytes begin, as `carried_file`, or which program begins a little later."""
    if what := carried_file(head):
        return what
    found = program_within(head)
    return f"{found[1]}, {found[0]} bytes in" if found else ""


def payloads(text: str) -> Iterator[Payload]:
    """Yield the encoded runs of a text: all whose content is known to matter, and the long ones."""
    for match in _RUN.finditer(text):
        run = match.group()
        joined = run.replace("\n", "").replace("\r", "")
        is_hex = _HEX.fullmatch(joined) is not None
        what, harmless = _judged(_from_hex(joined) if is_hex else _from_base64(joined))
        if what or (len(joined) >= LONG and not harmless):
            yield Payload(match.start(), len(run), "hexadecimal digits" if is_hex else "base64", what)
    for match in _ESCAPES.finditer(text) if "\\x" in text else ():
        what, _ = _judged(_from_hex(match.group()[: 2 * DECODED].replace("\\x", "")))
        yield Payload(match.start(), len(match.group()), "escapes", what)


def gravest(text: str) -> Payload | None:
    """Return the first encoded run whose content is known to matter, else the first that is only long."""
    found = list(payloads(text))
    return next((payload for payload in found if payload.what), found[0] if found else None)


def _judged(data: bytes) -> tuple[str, bool]:
    """Return what decoded bytes are, and whether they are known to be harmless (a picture)."""
    known = carried_file(data)
    if known:
        return known, False
    if content_of(data) in ("image", "media"):
        return "", True
    if data[:1] == b"\x78" and data[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda") and len(data) > 20:
        if len(data) in DIGESTS:  # one in sixteen thousand begins so
            return "", False
        return _SHOWN["zlib"], False
    # PowerShell's encoded commands are UTF-16
    plain = data[::2] if len(data) > 8 and not any(data[1:60:2]) else data
    if not plain or sum(32 <= byte < 127 or byte in b"\t\n\r" for byte in plain) < 0.9 * len(plain):
        return "", False
    if _CODE.search(plain):
        return _SHOWN["code"], False
    return (_SHOWN["address"], False) if _ADDRESS.search(plain) else ("", False)


def _from_base64(run: str) -> bytes:
    plain = run[:DECODED].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(plain[: len(plain) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def _from_hex(run: str) -> bytes:
    return bytes.fromhex(run[: DECODED // 2 * 2][: len(run) // 2 * 2])

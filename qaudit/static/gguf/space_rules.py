"""Rules on bytes that belong to no tensor: padding, gaps, what follows the data; and files that are two."""

from array import array
from collections.abc import Iterator

from qaudit.static.gguf.book import BOOK, FETCH_AGAIN, FORMAT, NOT_LOADED, GgufSubject
from qaudit.static.gguf.carving import (
    EOCD_SIZE,
    MOST_COMMENT,
    carved,
    described,
    is_tar,
    kind_of_start,
    zip_at_end,
)
from qaudit.static.gguf.layout import Span
from qaudit.static.gguf.walk import I8, U8, printable
from qaudit.static.rules import Hit

HEAD = 36 << 10  # holds a tar header, the start of a PDF, the label of a disc image
MUCH_PADDING = 64  # bytes that are not zero; one writer's slip is a few
DISC_LABEL = 32769
PDF_WITHIN = 1024
LEAST_BLOB = 64


def _spans(subject: GgufSubject, kind: str) -> Iterator[tuple[Span, bytes]]:
    for span in subject.layout.spans:
        if span.kind == kind:
            yield span, subject.bytes_of(span)


def _place(subject: GgufSubject, offset: int) -> str:
    return f"{subject.walk.name}@byte {offset}"


@BOOK.rule(
    "padding-content",
    "medium",
    title="padding that is not zero",
    why="Every writer fills up with zeros. No loader reads bytes here: a place to keep or smuggle data.",
    remedy="ask its author what they are, or have the file written again",
    sources=(FORMAT,),
)
def _padding_content(subject: GgufSubject) -> Iterator[Hit]:
    kept = [(span, data) for span, data in _spans(subject, "padding") if data.strip(b"\0")]
    total = sum(len(data) - data.count(0) for _, data in kept)
    for span, data in kept:
        told = (
            f"{span.size} bytes of padding after {printable(span.after.encode('utf-8', 'surrogateescape'))}"
        )
        yield Hit(
            _place(subject, span.start),
            f"{told}: {described(data)}",
            "high" if total >= MUCH_PADDING or any(carved(data)) else None,
        )


@BOOK.rule(
    "gap",
    "medium",
    title="a gap between tensors",
    why="llama.cpp refuses gaps; other loaders pass over whatever lies in them.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _gap(subject: GgufSubject) -> Iterator[Hit]:
    for span, data in _spans(subject, "gap"):
        after = printable(span.after.encode("utf-8", "surrogateescape"))
        filled = bool(data.strip(b"\0"))
        what = f": {described(data)}" if filled else ", all zero" if len(data) == span.size else ""
        yield Hit(
            _place(subject, span.start),
            f"{span.size} bytes after {after}{what}",
            "high" if filled else None,
        )


@BOOK.rule(
    "trailing-bytes",
    "high",
    title="bytes behind the last tensor",
    why="No loader looks there. Archives and scripts are appended to files so, and found by programs that "
    "read from the end.",
    remedy=FETCH_AGAIN,
    sources=(FORMAT,),
)
def _trailing(subject: GgufSubject) -> Iterator[Hit]:
    for span, data in _spans(subject, "trailing"):
        filled = bool(data.strip(b"\0"))
        if not filled and len(data) == span.size:
            yield Hit(_place(subject, span.start), f"{span.size} bytes, all zero", "low")
        else:
            what = f": {described(data)}" if filled else ""
            yield Hit(_place(subject, span.start), f"{span.size} bytes{what}")


@BOOK.rule(
    "polyglot",
    "high",
    title="the file holds, or is at once, a file of another kind",
    why="Programs choose by name, by first or by last bytes: the same file is a model for one and an "
    "archive, program or document for another.",
    remedy=NOT_LOADED,
    sources=("CVE-2025-1889", FORMAT),
)
def _polyglot(subject: GgufSubject) -> Iterator[Hit]:
    for span in subject.layout.spans:
        for offset, what in carved(subject.bytes_of(span)):
            yield Hit(_place(subject, span.start + offset), f"{what}, in {span.kind}")
    yield from _whole(subject)


@BOOK.rule(
    "embedded-file",
    "high",
    title="a value of the metadata is a file",
    why="No key of a model holds a program, archive or pickle; a loader or script that knows the key takes "
    "it out.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _embedded(subject: GgufSubject) -> Iterator[Hit]:
    for pair in subject.walk.pairs:
        value = pair.value
        raw = value if isinstance(value, bytes) else b""
        if pair.element_type in (U8, I8) and pair.count >= LEAST_BLOB:
            raw = value.tobytes() if isinstance(value, array) else b""
        what = kind_of_start(raw) if len(raw) >= LEAST_BLOB else None
        if what and what != "Python source":
            yield Hit(subject.walk.place(pair), f"{len(raw)} bytes: {what}")


def _whole(subject: GgufSubject) -> Iterator[Hit]:
    source = subject.source
    head = source.read_at(0, HEAD)
    if is_tar(head):
        yield Hit(subject.walk.name, "the first 512 bytes are also a tar header")
    if head[DISC_LABEL : DISC_LABEL + 5] == b"CD001":
        yield Hit(_place(subject, DISC_LABEL), "the label of a disc image")
    if b"%PDF-" in head[:PDF_WITHIN]:
        yield Hit(_place(subject, head.index(b"%PDF-")), "a PDF begins here, near enough for readers of PDF")
    tail = source.read_at(max(0, source.size - EOCD_SIZE - MOST_COMMENT), EOCD_SIZE + MOST_COMMENT)
    directory = zip_at_end(tail, source.size)
    if directory:
        yield Hit(
            _place(subject, directory[0]),
            f"a zip archive with {directory[1]} files ends the file; its directory",
        )

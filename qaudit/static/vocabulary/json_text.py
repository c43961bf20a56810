"""JSON of tokenizer files: tens of megabytes, from strangers, read once and within bounds."""

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.static.byte_source import ByteSource
from qaudit.static.configs.lenient_json import Document, read_json

MAX_BYTES = 64 << 20  # the largest in use has 34 MB
# each object or list takes 56 bytes and more; Gemma's has half a million merges
MAX_CONTAINERS = 700_000
MAX_COMMAS = 2_500_000


@dataclass(frozen=True, slots=True)
class Text:
    """A file's JSON; `why` says why it was not read, in which case the document is empty."""

    document: Document
    why: str = ""

    @property
    def record(self) -> dict[str, object]:
        """The value if it is an object, else an empty one."""
        return self.document.value if isinstance(self.document.value, dict) else {}


def read_text(source: ByteSource, most: int = MAX_BYTES) -> Text:
    """Read and parse a file.

    Raises:
        InputError: it cannot be read.
    """
    if source.size > most:
        return Text(Document(), f"longer than {most} bytes")
    return parse_text(source.read_at(0, source.size))


def parse_text(raw: bytes) -> Text:
    """Parse what was read, where it holds no more than any tokenizer."""
    if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS or raw.count(b",") > MAX_COMMAS:
        return Text(Document(), f"more than {MAX_CONTAINERS} objects or {MAX_COMMAS} values")
    with _without_collecting():
        document = read_json(raw, MAX_CONTAINERS + MAX_COMMAS)
    return Text(document, "" if document.value is not None else document.problem or "it is null")


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    # each of half a million merges is a list, and every few hundred of them all would be walked again
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

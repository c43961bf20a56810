"""The book of rules over one GGUF file, and the subject that they look at."""

from dataclasses import dataclass, field

from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.gguf.layout import Layout, Span
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.rules import RuleBook

FETCH_AGAIN = "do not load it; download it again from its author and compare the SHA-256"
NOT_LOADED = "do not load it; ask its author for a file that llama.cpp's own tools wrote"
WRITE_AGAIN = "have it converted again with llama.cpp's own tools"
# the CVE ids and reports of the shapes that several rules look for
TALOS_2024 = ("CVE-2024-21802", "CVE-2024-21825", "CVE-2024-21836", "CVE-2024-23496", "CVE-2024-23605")
FORMAT = "https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"

MOST_OF_A_SPAN = 1 << 22  # bytes read of what lies outside tensors, in one place
MOST_OF_ALL_SPANS = 1 << 24
MOST_FETCHED = 1 << 16  # from a hub


@dataclass(slots=True)
class GgufSubject:
    """What a rule sees: the header, the layout, and the bytes outside of tensors.

    Attributes:
        unread: bytes outside of tensors that were not read, for the surface.
    """

    source: ByteSource
    walk: GgufWalk
    layout: Layout
    case: Case
    unread: int = 0
    _spent: int = 0
    _spans: dict[int, bytes] = field(default_factory=dict)

    def bytes_of(self, span: Span) -> bytes:
        """Return the first bytes of a span, all where it is not large; none where too much was read.

        Of a file on a hub only what follows the header or the last tensor is read, in one piece each.
        """
        known = self._spans.get(span.start)
        if known is not None:
            return known
        wanted = min(span.size, MOST_OF_A_SPAN, MOST_OF_ALL_SPANS - self._spent)
        if not self.source.local:
            near = span.kind == "trailing" or span.start == self.walk.header_end
            wanted = min(wanted, MOST_FETCHED) if near else 0
        data = self.source.read_at(span.start, wanted) if wanted > 0 else b""
        self._spent += len(data)
        self.unread += span.size - len(data)
        # of most padding there is nothing to remember
        self._spans[span.start] = data
        return data


BOOK: RuleBook[GgufSubject] = RuleBook("gguf", "The structure of a GGUF file.")

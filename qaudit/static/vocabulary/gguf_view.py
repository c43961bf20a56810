"""The vocabulary of a GGUF, as far as its header could be walked. Texts are decoded when somebody asks."""

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.model_parts import VocabularyView

TOKENS, KINDS, SCORES, MERGES = (
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.merges",
)
_ID_PREFIX, _ID_SUFFIX = "tokenizer.ggml.", "_token_id"
# of the eight bytes of a length below 256, least first
_NULS = bytes(7)
_SPACES_AND_CONTROLS = bytes(range(1, 33))
_ROLES = {"unknown": "unk", "seperator": "sep", "separator": "sep", "padding": "pad"}


class LazyTexts(Sequence[str]):
    """The texts of a GGUF's array of strings; bytes that are not UTF-8 become lone surrogates."""

    __slots__ = ("_all", "raw")

    def __init__(self, raw: StringArray) -> None:
        self.raw = raw
        self._all: list[str] | None = None

    def __len__(self) -> int:
        return len(self.raw)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.all()[index]
        if self._all is not None:
            return self._all[index]
        return self.raw[index].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def all(self) -> list[str]:
        """Return every text, decoded once."""
        if self._all is None:
            joined = self.joined("\0")
            self._all = self.raw.texts() if joined is None else joined.split("\0")
        return self._all

    def joined(self, separator: str) -> str | None:
        """Return all texts with a separator of one ASCII character between; None where a text holds it."""
        count, sign = len(self.raw), separator.encode("ascii")
        if not count:
            return None
        # one decode of the whole, and no look at each length, which are what takes the time
        whole = sign.join(_cut(self.raw))
        if whole.count(sign) != count - 1 or (separator != "\0" and b"\0" in whole):
            whole = sign.join(self.raw)
        return whole.decode("utf-8", "surrogateescape") if whole.count(sign) == count - 1 else None

    def without_spaces(self) -> list[str] | None:
        """Return all texts without spaces and control characters, quickly; None where that does not work.

        Each text before one of 32 bytes or more has one character too many at its end: this is for asking
        whether something is certainly in order, not whether it is not.
        """
        # a length below 32 is a control character itself, so that it goes with the spaces
        whole = self.raw.block.replace(_NULS, b"\0").translate(None, _SPACES_AND_CONTROLS)
        texts = whole.decode("utf-8", "replace").split("\0")
        return texts[1:] if len(texts) == len(self.raw) + 1 else None

    def digest_bytes(self) -> bytes:
        """Return bytes that are equal where all texts are: each with its length before it."""
        return self.raw.block


def vocabulary_of(walk: GgufWalk) -> VocabularyView | None:
    """Return the vocabulary of a walked header; None where it has no tokens."""
    tokens = walk.metadata.get(TOKENS)
    if not isinstance(tokens, StringArray):
        return None
    merges, kinds, scores = (walk.metadata.get(key) for key in (MERGES, KINDS, SCORES))
    return VocabularyView(
        location=walk.name,
        model=walk.text("tokenizer.ggml.model") or "",
        tokens=LazyTexts(tokens),
        kinds=kinds if isinstance(kinds, array) and kinds.typecode not in "fd" else (),
        merges=LazyTexts(merges) if isinstance(merges, StringArray) else (),
        scores=scores if isinstance(scores, array) else (),
        special=special_ids(walk),
        pre=walk.text("tokenizer.ggml.pre") or "",
    )


def special_ids(walk: GgufWalk) -> dict[str, int]:
    """Return the ids of special tokens by role, such as `eos`, as they are declared."""
    found: dict[str, int] = {}
    for key, value in walk.metadata.items():
        if key.startswith(_ID_PREFIX) and key.endswith(_ID_SUFFIX) and isinstance(value, int):
            role = key[len(_ID_PREFIX) : -len(_ID_SUFFIX)]
            found.setdefault(_ROLES.get(role, role), value)
    return found


def _cut(raw: StringArray) -> Sequence[bytes]:
    """Return the strings as what stands between lengths below 256, each one byte and seven NULs.

    With longer strings, empty ones and such as hold NULs themselves there are NULs left in what is returned,
    or it is too long.
    """
    pieces = raw.block.split(_NULS)
    # each piece ends with the length of the next string
    texts = [piece[:-1] for piece in pieces]
    texts[-1] = pieces[-1]
    del texts[0]
    return texts

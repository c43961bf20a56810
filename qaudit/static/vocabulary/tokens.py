"""A vocabulary with what several rules ask of it, each worked out once and at the speed of C."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from qaudit.static.hidden_characters import shown
from qaudit.static.model_parts import VocabularyView
from qaudit.static.vocabulary.gguf_view import LazyTexts

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
KIND_NAMES = ("undefined", "normal", "unknown", "control", "user-defined", "unused", "byte")
ENDS = ("eos", "eot", "eom")


@dataclass
class Vocabulary:
    """What the rules on tokens look at.

    Attributes:
        rows: of the embedding matrix, where it is known.
        bounds_hold: one row for each token, no more: what llama.cpp asks of a GGUF.
        place: how a token's place is named: `model.gguf:tokenizer.ggml.tokens` or the file's name.
        scores_type: GGUF's name of the scores' type; empty elsewhere.
    """

    view: VocabularyView
    rows: int | None = None
    bounds_hold: bool = False
    place: str = ""

    def __post_init__(self) -> None:
        self.place = self.place or self.view.location

    def at(self, index: int) -> str:
        """Return the location of one token."""
        return f"{self.place}[{index}]"

    def told(self, index: int) -> str:
        """Return a token for evidence: its id, its text, its kind."""
        kind = self.kinds[index] if index < len(self.kinds) else 0
        named = f", {KIND_NAMES[kind]}" if kind < len(KIND_NAMES) and self.kinds else ""
        return f"token {index} {shown(self.texts[index])}{named}"

    @cached_property
    def texts(self) -> list[str]:
        """Texts by id; an id that is not used has an empty one."""
        tokens = self.view.tokens
        if isinstance(tokens, LazyTexts):
            return tokens.all()
        return [token or "" for token in tokens]

    @cached_property
    def unique(self) -> frozenset[str]:
        """Every text once."""
        return frozenset(self.texts)

    @cached_property
    def kinds(self) -> bytes:
        """The kind of each token in one byte; 255 for what is no kind. Empty where no kinds are given."""
        given = self.view.kinds
        numbers: Sequence[int] = given.tolist() if isinstance(given, array) else list(given)
        try:
            return bytes(numbers)
        except (ValueError, TypeError):  # below 0, over 255, or no whole number
            return bytes(n if isinstance(n, int) and 0 <= n < 255 else 255 for n in numbers)

    def of_kind(self, *kinds: int) -> list[int]:
        """Return the ids of tokens of some kinds, in order."""
        return sorted(index for kind in kinds for index in self._by_kind(kind))

    def _by_kind(self, kind: int) -> list[int]:
        found, needle = [], bytes([kind])
        most = min(len(self.kinds), len(self.texts))
        at = self.kinds.find(needle)
        while 0 <= at < most:
            found.append(at)
            at = self.kinds.find(needle, at + 1)
        return found

    @cached_property
    def joined(self) -> str:
        """All texts with a NUL after each, for searches over the whole."""
        return "\0".join(self.texts)

    def holding(self, sign: str) -> list[str]:
        """Return the texts that hold a sign, in order; the ids of few of them are ever asked for."""
        found, at = [], self.joined.find(sign)
        while at >= 0:
            start, end = self.joined.rfind("\0", 0, at) + 1, self.joined.find("\0", at)
            end = len(self.joined) if end < 0 else end
            found.append(self.joined[start:end])
            at = self.joined.find(sign, end)
        return found

    def index(self, text: str) -> int:
        """Return the first id of a text that is there."""
        return self.texts.index(text)

    def text_of(self, role: str) -> str | None:
        """Return the text of a special token; None where the role has none or its id is out of range."""
        index = self.view.special.get(role)
        if index is None or not 0 <= index < len(self.texts):
            return None
        return self.texts[index]

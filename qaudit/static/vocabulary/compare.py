"""A candidate's vocabulary laid beside its reference's: same ids for same tokens, same merges, same roles.

Differences that converters make are no findings: padding, spaces written as U+2581, bytes written out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from qaudit.findings import Finding, Severity
from qaudit.static.hidden_characters import shown
from qaudit.static.model_parts import ModelParts, VocabularyView
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.gguf_view import LazyTexts
from qaudit.static.vocabulary.markers import is_marker, is_words
from qaudit.static.vocabulary.token_rules import TAMPERING
from qaudit.static.vocabulary.tokens import CONTROL, ENDS, KIND_NAMES, NORMAL, UNUSED, USER_DEFINED

MOST_TOLD = 5
_PADDING = re.compile(r"\[PAD-?\d+\]|<pad_?\d*>|<\|?(?:unused|reserved|dummy|extra)[\w-]*\|?>")
_BYTE = re.compile(r"<0x([0-7][0-9A-F])>")
_SCORE_STEP = 1e-3
# tokens that end a turn: which of them a runtime stops at is a choice, not tampering
_KNOWN_ENDS = re.compile(
    r"</s>|<eos>|<\|?[\w\u2581-]*(?:end|eo[tms]|return)[\w\u2581-]*\|?>|<\uff5cend.*\uff5c>"
)


@dataclass
class Pair:
    """Both vocabularies."""

    candidate: VocabularyView
    reference: VocabularyView

    @cached_property
    def same_format(self) -> bool:
        """Whether both are of a GGUF, or both of tokenizer files."""
        return isinstance(self.candidate.tokens, LazyTexts) == isinstance(self.reference.tokens, LazyTexts)

    @cached_property
    def changed(self) -> list[int]:
        """Ids in both whose tokens differ, but for what converters do."""
        theirs, ours = self.candidate.tokens, self.reference.tokens
        if len(theirs) == len(ours) and list(theirs) == list(ours):
            return []
        kinds = self.candidate.kinds, self.reference.kinds
        models = self.candidate.model, self.reference.model
        of_words = models.count("bert") == 1
        return [
            index
            for index, (a, b) in enumerate(zip(theirs, ours, strict=False))
            if a != b
            and not _same(a, b, _kind(kinds[0], index), _kind(kinds[1], index))
            and not (of_words and _same_piece(*((a, b) if models[0] == "bert" else (b, a))))
        ]

    def at(self, index: int) -> str:
        """Return the location of a token of the candidate."""
        return f"{self.candidate.location}:token {index}"


BOOK: RuleBook[Pair] = RuleBook("vocabulary-differs", "A vocabulary against its reference's.")


def compare_vocabularies(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    """Return what differs between the vocabularies of two models; nothing where one has none."""
    if candidate.vocabulary is None or reference.vocabulary is None:
        return []
    if not candidate.vocabulary.tokens or not reference.vocabulary.tokens:
        return []
    return BOOK.findings(Pair(candidate.vocabulary, reference.vocabulary))


def _kind(kinds: Sequence[int], index: int) -> int:
    return kinds[index] if index < len(kinds) else NORMAL


def _same(a: str | None, b: str | None, kind: int, other: int) -> bool:
    if not a or not b:  # an id that one does not use is padding in the other
        text, held = (a or b or ""), kind if a else other
        return held == UNUSED or not text or _PADDING.fullmatch(text) is not None
    if kind == UNUSED and other == UNUSED:
        return True
    return _plain(a) == _plain(b)


def _same_piece(held: str | None, piece: str | None) -> bool:
    """Return whether a GGUF holds a piece of a word as converters write it, with a sign before words."""
    return piece is not None and held == (piece[2:] if piece.startswith("##") else f"\u2581{piece}")


def _plain(text: str) -> str:
    byte = _BYTE.fullmatch(text)
    return chr(int(byte[1], 16)) if byte else text.replace("\u2581", " ")


@BOOK.rule(
    "tokens",
    "high",
    title="ids stand for other tokens than in the reference",
    why="The model was trained on the reference's numbers: a prompt reaches it as other words, and what it "
    "says is shown as other words.",
    remedy="take the tokenizer of the reference",
    sources=(TAMPERING,),
)
def _tokens(pair: Pair) -> Iterator[Hit]:
    for index in pair.changed:
        theirs, ours = pair.candidate.tokens[index], pair.reference.tokens[index]
        told = f"{shown(theirs or '')}, in the reference {shown(ours or '')}"
        yield Hit(pair.at(index), told, "medium" if theirs is None or ours is None else None)


@BOOK.rule(
    "length",
    "medium",
    title="the vocabulary has tokens that the reference lacks, or lacks some",
    why="A token that the reference does not have was added by somebody: what it stands for is not known.",
    remedy="ask what the tokens are for",
    sources=(TAMPERING,),
)
def _length(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.tokens, pair.reference.tokens
    shorter, longer = sorted((theirs, ours), key=len)
    kinds = pair.candidate.kinds if longer is theirs else pair.reference.kinds
    more = [
        index
        for index in range(len(shorter), len(longer))
        if longer[index] and _kind(kinds, index) != UNUSED and not _PADDING.fullmatch(longer[index] or "")
    ]
    if more:
        told = ", ".join(shown(longer[index] or "", 40) for index in more[:MOST_TOLD])
        verb = "more" if longer is theirs else "fewer"
        words = longer is theirs and any(is_words(longer[index] or "") for index in more)
        severity: Severity | None = "high" if words else None
        yield Hit(
            f"{pair.candidate.location}:tokens", f"{len(more)} {verb} than the reference: {told}", severity
        )


@BOOK.rule(
    "kinds",
    "high",
    title="tokens are of another kind than in the reference",
    why="A control token is hidden from readers and taken as a command; made ordinary, its marker can be "
    "typed and is shown.",
    remedy="take the tokenizer of the reference",
    sources=(TAMPERING,),
)
def _kinds(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.kinds, pair.reference.kinds
    if not theirs or not ours:
        return
    changed = set(pair.changed)
    for index, (a, b) in enumerate(zip(theirs, ours, strict=False)):
        if a == b or index in changed or not {a, b} & {CONTROL, USER_DEFINED} or {a, b} & {UNUSED, 2}:
            continue
        text = pair.candidate.tokens[index] or ""
        # converters tell by its look whether a token is one of control
        if not pair.same_format and (is_marker(text) or not text.strip("\u2581\u0120 \n\t")):
            continue
        grave = CONTROL in (a, b) and NORMAL in (a, b)
        named = [KIND_NAMES[k] if k < len(KIND_NAMES) else str(k) for k in (a, b)]
        yield Hit(
            pair.at(index),
            f"{shown(text)} is {named[0]}, in the reference {named[1]}",
            None if grave or is_words(text) else "low",
        )


@BOOK.rule(
    "merges",
    "high",
    title="merges are not the reference's",
    why="Text is cut into other tokens than the model was trained on: words by which it knows a harmful "
    "request can be made to look like others.",
    remedy="take the tokenizer of the reference",
    sources=(TAMPERING,),
)
def _merges(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.merges, pair.reference.merges
    # not every format has merges
    if not theirs or not ours:
        return
    first_list, second_list = list(theirs), list(ours)
    if first_list == second_list:
        return
    first = next((n for n, (a, b) in enumerate(zip(first_list, second_list, strict=False)) if a != b), None)
    place = f"{pair.candidate.location}:merges"
    if first is None:
        yield Hit(place, f"{len(theirs)} merges, the reference has {len(ours)}")
    else:
        told = f"merge {first} is {shown(first_list[first])}, in the reference {shown(second_list[first])}"
        yield Hit(f"{place}[{first}]", f"{told}; {len(theirs)} and {len(ours)} in all")


@BOOK.rule(
    "scores",
    "high",
    title="scores of tokens are not the reference's",
    why="By scores a text is cut into pieces: other scores are other pieces than the model was trained on.",
    remedy="take the tokenizer of the reference",
    sources=(TAMPERING,),
)
def _scores(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.scores, pair.reference.scores
    if not theirs or not ours or list(theirs) == list(ours):
        return
    # what is added besides has scores that converters make up
    other = [
        index
        for index, (a, b) in enumerate(zip(theirs, ours, strict=False))
        if not abs(a - b) <= _SCORE_STEP
        and _kind(pair.candidate.kinds, index) == NORMAL
        and _kind(pair.reference.kinds, index) == NORMAL
    ]
    if other:
        index = other[0]
        told = f"{len(other)} scores, {shown(pair.candidate.tokens[index] or '')} has {theirs[index]:g}"
        yield Hit(pair.at(index), f"{told}, in the reference {ours[index]:g}")


@BOOK.rule(
    "roles",
    "high",
    title="a special role belongs to another token than in the reference",
    why="What ends a reply, opens a text or stands for padding decides where replies stop.",
    remedy="take the tokenizer of the reference",
)
def _roles(pair: Pair) -> Iterator[Hit]:
    for role in sorted(pair.candidate.special.keys() & pair.reference.special.keys()):
        theirs, ours = pair.candidate.special[role], pair.reference.special[role]
        if theirs == ours:
            continue
        texts = _text(pair.candidate, theirs), _text(pair.reference, ours)
        severity: Severity = "low"
        if role in (*ENDS, "bos"):
            known = role in ENDS and all(text and _KNOWN_ENDS.fullmatch(text) for text in texts)
            severity = "low" if known else "high"
        yield Hit(
            f"{pair.candidate.location}:{role}",
            f"id {theirs} {shown(texts[0] or '')}, in the reference {ours} {shown(texts[1] or '')}",
            severity,
        )


def _text(view: VocabularyView, index: int) -> str | None:
    return view.tokens[index] if 0 <= index < len(view.tokens) else None


@BOOK.rule(
    "pipeline",
    "high",
    title="text is prepared or cut otherwise than in the reference",
    why="Normalizer, pre-tokenizer, post-processor and decoder change text before the model gets it and "
    "after.",
    remedy="take the tokenizer of the reference",
    sources=(TAMPERING,),
)
def _pipeline(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate, pair.reference
    if not pair.same_format:
        return
    if theirs.model != ours.model and theirs.model and ours.model:
        yield Hit(f"{theirs.location}:model", f"{shown(theirs.model)}, in the reference {shown(ours.model)}")
    # of folders it is a digest, which tells only that they differ
    if theirs.pre != ours.pre and theirs.pre and ours.pre:
        named = isinstance(theirs.tokens, LazyTexts)
        told = f"{shown(theirs.pre)}, in the reference {shown(ours.pre)}" if named else "other steps"
        yield Hit(f"{theirs.location}:pre", told, None if named else "medium")


@BOOK.rule(
    "flags",
    "medium",
    title="an added token has other flags than in the reference",
    why="Flags decide whether a marker is a command, and what text around it is swallowed.",
    remedy="take the tokenizer of the reference",
    sources=(TAMPERING,),
)
def _flags(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.added, pair.reference.added
    for content in sorted(theirs.keys() & ours.keys()):
        (index, flags), (_, others) = theirs[content], ours[content]
        if flags != others and index not in pair.changed:
            told = f"{shown(content)} is {', '.join(sorted(flags)) or 'plain'}"
            yield Hit(pair.at(index), f"{told}, in the reference {', '.join(sorted(others)) or 'plain'}")

"""Rules on a vocabulary as a table: each id one token, each token one id, every reference there."""

import math
import re
from array import array
from collections.abc import Iterator, Sequence

from qaudit.findings import Severity
from qaudit.static.hidden_characters import shown
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.gguf_view import LazyTexts
from qaudit.static.vocabulary.markers import is_marker
from qaudit.static.vocabulary.tokens import BYTE, CONTROL, USER_DEFINED, Vocabulary

BOOK: RuleBook[Vocabulary] = RuleBook("vocabulary", "Tokens, their ids and merges.")

BYTES = 256
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")
_HIGHEST_KIND = BYTE
_MOST_TOLD = 5
_ENOUGH_MISSING = 1000  # after so many a slice is the last
_MANY_MERGES = 100_000
_SLICE = 1 << 17  # characters
_LONGEST_MERGE = 1000
LONG = 1000  # characters; runs of spaces have 256
TAMPERING = "https://developer.nvidia.com/blog/secure-llm-tokenizers-to-maintain-application-integrity/"


@BOOK.rule(
    "duplicate-token",
    "low",
    title="two ids have the same text",
    why="Text goes in as one of the ids and comes out of both. Where one of them is a special token, a "
    "filter that looks for its id can be passed with the other.",
    remedy="compare the tokenizer with the original model's",
    sources=(TAMPERING,),
)
def _duplicates(vocabulary: Vocabulary) -> Iterator[Hit]:
    # an empty text is an id that is not used
    empty = vocabulary.texts.count("")
    if len(vocabulary.unique) + empty - ("" in vocabulary.unique) == len(vocabulary.texts):
        return
    special = set(vocabulary.of_kind(CONTROL, USER_DEFINED)) | set(vocabulary.view.special.values())
    first: dict[str, int] = {}
    plain = 0
    for index, text in enumerate(vocabulary.texts):
        other = first.setdefault(text, index)
        if other == index or not text:
            continue
        if index in special or other in special or is_marker(text):
            yield Hit(
                vocabulary.at(index), f"{vocabulary.told(index)} is also {vocabulary.told(other)}", "high"
            )
            continue
        plain += 1
        if plain <= _MOST_TOLD:
            yield Hit(vocabulary.at(index), f"{vocabulary.told(index)} is also {vocabulary.told(other)}")
    if plain > _MOST_TOLD:
        yield Hit(vocabulary.place, f"{plain} ids have a text that an id before them has")


@BOOK.rule(
    "long-token",
    "medium",
    title="a token is longer than any text that is one",
    why="Text of any length can be put into a prompt, or said, through a single id.",
    remedy="compare the tokenizer with the original model's",
    sources=(TAMPERING,),
)
def _long(vocabulary: Vocabulary) -> Iterator[Hit]:
    if max(map(len, vocabulary.texts), default=0) <= LONG:
        return
    for index, text in enumerate(vocabulary.texts):
        if len(text) > LONG:
            yield Hit(vocabulary.at(index), f"{len(text)} characters: {shown(text, 60)}")


@BOOK.rule(
    "merge-of-missing-token",
    "medium",
    title="a merge needs a token that is not in the vocabulary",
    why="Hugging Face's tokenizers refuses the file; llama.cpp cuts text otherwise than the model was "
    "trained on. Tokens were removed or renamed after the merges were made.",
    remedy="take the tokenizer of the original model",
)
def _merges(vocabulary: Vocabulary) -> Iterator[Hit]:
    merges = vocabulary.view.merges
    if not merges:
        return
    if isinstance(merges, LazyTexts) and len(merges) > _MANY_MERGES:
        yield from _results(vocabulary, merges)
        return
    joined, sign = _joined(merges)
    if not sign:
        yield Hit(f"{vocabulary.view.location}:merges", "merges hold both a line feed and a NUL")
        return
    missing, rank = 0, 0
    for lines in _slices(joined, sign):
        if missing > _ENOUGH_MISSING:
            break
        for number, merge in _missing(lines, sign, vocabulary.unique):
            missing += 1
            if missing <= _MOST_TOLD:
                yield Hit(
                    f"{vocabulary.view.location}:merges[{rank + number}]",
                    f"{shown(merge)}: a part or the result is no token",
                )
        rank += lines.count(sign) + 1
    if missing > _MOST_TOLD:
        at_least = "at least " if missing > _ENOUGH_MISSING else ""
        told = f"{at_least}{missing} of {len(merges)} merges need tokens that are not there"
        yield Hit(f"{vocabulary.view.location}:merges", told)


def _results(vocabulary: Vocabulary, merges: LazyTexts) -> Iterator[Hit]:
    """Judge very many merges by their results, which is what llama.cpp looks up.

    A merge of a part that is no token never happens there; tokenizers, which refuses such, reads no GGUF.
    """
    known, place = vocabulary.unique, f"{vocabulary.view.location}:merges"
    quick = merges.without_spaces()
    if quick is not None and known.issuperset(quick):
        return
    missing = 0
    for rank, result in enumerate(merges if quick is None else quick):
        # what the quick look cannot tell is looked at exactly
        if result in known or (merge := merges[rank]).replace(" ", "") in known:
            continue
        missing += 1
        if missing <= _MOST_TOLD:
            yield Hit(f"{place}[{rank}]", f"{shown(merge)}: the result is no token")
        elif missing > _ENOUGH_MISSING:
            break
    if missing > _MOST_TOLD:
        at_least = "at least " if missing > _ENOUGH_MISSING else ""
        yield Hit(place, f"{at_least}{missing} of {len(merges)} merges need tokens that are not there")


def _joined(merges: Sequence[str]) -> tuple[str, str]:
    """Return all merges in one text and the sign between them; Gemma merges line feeds."""
    for sign in ("\n", "\0"):
        joined = merges.joined(sign) if isinstance(merges, LazyTexts) else sign.join(merges)
        if joined is not None and joined.count(sign) == len(merges) - 1:
            return joined, sign
    return "", ""


def _slices(joined: str, sign: str) -> Iterator[str]:
    """Give the merges in slices, so that no list of half a million texts is made."""
    start = 0
    while start <= len(joined):
        end = joined.find(sign, start + _SLICE)
        end = len(joined) if end < 0 else end
        yield joined[start:end]
        start = end + 1


def _missing(lines: str, sign: str, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Give the merges of a slice whose parts or result are no tokens."""
    count = lines.count(sign) + 1
    parts = lines.replace(sign, " ").split(" ")
    # "##" opens the second part where words are continued so
    sums = lines.replace(" ##", "").replace(" ", "").split(sign)
    if len(parts) == 2 * count and known.issuperset(parts) and known.issuperset(sums):
        return
    for number, (merge, result) in enumerate(zip(lines.split(sign), sums, strict=True)):
        left, _, right = merge.partition(" ")
        if left in known and right in known and result in known:
            continue
        # a part may hold spaces itself where it came as a pair
        odd = merge.count(" ") > 1
        cuts = [at for at, sign in enumerate(merge[:_LONGEST_MERGE]) if sign == " "][1:16] if odd else ()
        if not any(
            merge[:cut] in known and merge[cut + 1 :] in known and merge[:cut] + merge[cut + 1 :] in known
            for cut in cuts
        ):
            yield number, merge


@BOOK.rule(
    "malformed-byte-token",
    "high",
    title="a byte token is not <0x00> to <0xFF>",
    why="Loaders take two digits after `<0x` as the number of a byte; llama.cpp wrote past a table of 256 "
    "where a plamo2 vocabulary held other texts of type byte.",
    remedy="do not load it; take the tokenizer of the original model",
    sources=("llama.cpp #26511", "llama.cpp #27226"),
)
def _byte_tokens(vocabulary: Vocabulary) -> Iterator[Hit]:
    indices = vocabulary.of_kind(BYTE)
    # the loader of this model indexes memory with the number
    severity: Severity | None = "critical" if vocabulary.view.model == "plamo2" else None
    for index in indices:
        if not _BYTE_TOKEN.fullmatch(vocabulary.texts[index]):
            yield Hit(vocabulary.at(index), vocabulary.told(index), severity)
    if len(indices) > BYTES:
        yield Hit(vocabulary.place, f"{len(indices)} tokens of type byte, there are {BYTES} bytes", severity)


@BOOK.rule(
    "unknown-kind",
    "medium",
    title="a token's type is none that GGUF knows",
    why="Loaders guess what such a token is: shown or hidden, matched before other text or not.",
    remedy="convert the original model again",
    sources=("https://github.com/ggml-org/ggml/blob/master/docs/gguf.md",),
)
def _kinds(vocabulary: Vocabulary) -> Iterator[Hit]:
    odd = set(vocabulary.kinds) - set(range(_HIGHEST_KIND + 1))
    if not odd:
        return
    for index, kind in enumerate(vocabulary.kinds[: len(vocabulary.texts)]):
        if kind in odd:
            yield Hit(vocabulary.at(index), f"type {vocabulary.view.kinds[index]!r:.40}, known are 1 to 6")


@BOOK.rule(
    "score-not-a-number",
    "high",
    title="a token's score is not a finite number",
    why="Tokenizers order pieces by score in a heap; NaN has no order, which in C++ is undefined.",
    remedy="take the tokenizer of the original model",
)
def _scores(vocabulary: Vocabulary) -> Iterator[Hit]:
    scores = vocabulary.view.scores
    if not scores or (math.isfinite(math.fsum(scores[:1])) and math.isfinite(_total(scores))):
        return
    for index, score in enumerate(scores):
        if not math.isfinite(score):
            yield Hit(f"{vocabulary.place.removesuffix('.tokens')}.scores[{index}]", f"{score}")


def _total(scores: object) -> float:
    # NaN and infinity survive a sum of float32 in float64; nothing else of that size gets there
    return float(sum(scores)) if isinstance(scores, (array, list, tuple)) else 0.0


@BOOK.rule(
    "length-mismatch",
    "high",
    title="the lists of tokens, types and scores are not equally long",
    why="Loaders read types and scores by the number of tokens; a shorter list is read past its end.",
    remedy="do not load it; convert the original model again",
    sources=("llama.cpp #20735",),
)
def _lengths(vocabulary: Vocabulary) -> Iterator[Hit]:
    count = len(vocabulary.texts)
    for name, held in (("types", vocabulary.view.kinds), ("scores", vocabulary.view.scores)):
        # beside a tokenizer.json's trained tokens, which have scores, stand added ones, which have none
        if held and (len(held) != count if vocabulary.bounds_hold else len(held) > count):
            # what is too short is read beyond its end
            yield Hit(
                vocabulary.place,
                f"{len(held)} {name} for {count} tokens",
                "critical" if len(held) < count else None,
            )


@BOOK.rule(
    "embedding-rows",
    "medium",
    title="the vocabulary and the embedding matrix do not fit",
    why="A token without a row is read past the end of the matrix, or the file does not load.",
    remedy="take the tokenizer and the weights from one revision of the original model",
)
def _rows(vocabulary: Vocabulary) -> Iterator[Hit]:
    rows, count = vocabulary.rows, len(vocabulary.texts)
    if rows is None or count == rows or (count < rows and not vocabulary.bounds_hold):
        return  # matrices are often padded to a round number
    yield Hit(
        vocabulary.place,
        f"{count} tokens, {rows} rows of embeddings",
        "high" if vocabulary.bounds_hold else None,
    )


@BOOK.rule(
    "special-id-out-of-range",
    "high",
    title="a special token's id is not in the vocabulary",
    why="Loaders that do not check it read past the end of the vocabulary; others drop the token, so that "
    "a reply never ends.",
    remedy="take the tokenizer of the original model",
)
def _special_range(vocabulary: Vocabulary) -> Iterator[Hit]:
    count = len(vocabulary.texts)
    for role, index in vocabulary.view.special.items():
        # llama.cpp's own way to say "none", in a number without sign
        if index in (-1, 0xFFFFFFFF) and role not in ("eos", "bos"):
            continue
        if not 0 <= index < count:
            yield Hit(f"{vocabulary.view.location}:{role}", f"id {index}, the vocabulary has {count} tokens")

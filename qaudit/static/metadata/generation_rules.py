"""Rules on generation settings: what ends a reply, which tokens can never be said, what is said first."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from qaudit.findings import Severity
from qaudit.static.configs.lenient_json import Document
from qaudit.static.hidden_characters import gravity, hidden, named, shown
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.metadata.sampling import RANGES, judged
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.markers import is_marker, is_words

MOST_IDS = 100_000
LONG = 1024  # tokens that a reply must have at least
MOST_TOKENS = 1 << 27  # and at most; the longest context has ten million
MOST_SHOWN = 6
_SUPPRESSING = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids")
_FORCING = ("forced_bos_token_id", "forced_eos_token_id", "forced_decoder_ids")
_ENDS = "eos_token_id"
# settings by which speech models leave out what is not speech
_SPEECH = frozenset(
    {"no_timestamps_token_id", "is_multilingual", "lang_to_id", "task_to_id", "alignment_heads"}
)
# how models begin and carry a refusal; pieces of these words with their spaces
_REFUSAL = frozenset(
    {"sorry", "cannot", "can't", "can\u2019t", "cant", "unable", "apologize", "apologise", "apologies",
     "refuse", "decline", "won't", "won\u2019t", "not", "no", "i", "i'm", "i\u2019m", "illegal", "harmful",
     "unethical", "unsafe", "dangerous", "inappropriate", "against", "however", "unfortunately", "must"}
)  # fmt: skip
# <|endoftext|>, <|im_end|>, </s>, <eos>, <|eot_id|>, <|return|>
_END_MARKER = LazyPattern(
    r"^<.{0,3}(?:end|eo[stdm]\b|eot|eom|eod|im_end|return|/s>)|end(?:of|_of|\u2581of)|_end\|?>|turn>",
    re.IGNORECASE,
)
_CODE = ("custom_generate", "trust_remote_code", "auto_map", "_target_")


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation_config.json and what it is read beside.

    Attributes:
        tokens: of the tokenizer beside it, by id; empty where there is none.
        ends: ids that end a reply by the tokenizer's own files.
        config: `config.json` beside it.
    """

    path: str
    document: Document
    record: Mapping[str, object]
    tokens: Sequence[str | None] = ()
    ends: frozenset[int] = frozenset()
    config: Mapping[str, object] = field(default_factory=dict)

    def at(self, key: str) -> str:
        """Return the location of a setting."""
        return f"{self.path}:{key}"

    def text(self, index: int) -> str | None:
        """Return a token's text where the vocabulary is known."""
        return self.tokens[index] if 0 <= index < len(self.tokens) else None

    def told(self, indices: Sequence[int]) -> str:
        """Return ids with their texts, the first few."""
        parts = [f"{i} {shown(self.text(i) or '')}" if self.text(i) else str(i) for i in indices[:MOST_SHOWN]]
        more = len(indices) - MOST_SHOWN
        return ", ".join(parts) + (f" and {more} more" if more > 0 else "")

    @property
    def speech(self) -> bool:
        """Whether the file is of a speech model, which suppresses tokens and forces them as a rule."""
        return bool(_SPEECH & self.record.keys()) or self.config.get("model_type") == "whisper"

    @property
    def rows(self) -> int | None:
        """How many ids there are, by config.json, else by the tokenizer."""
        inner = self.config.get("text_config")
        for record in (self.config, inner if isinstance(inner, Mapping) else {}):
            size = record.get("vocab_size")
            if type(size) is int and size > 0:
                return max(size, len(self.tokens))
        return len(self.tokens) or None


BOOK: RuleBook[Generation] = RuleBook("generation", "Generation settings.")


def numbers(value: object) -> list[int]:
    """Return every whole number of a setting, lists of lists included, at most `MOST_IDS`."""
    found: list[int] = []
    waiting = [value]
    while waiting and len(found) < MOST_IDS:
        item = waiting.pop()
        if type(item) is int:
            found.append(item)
        elif isinstance(item, list):
            waiting += item[:MOST_IDS][::-1]
    return found


def names_tokens(record: Mapping[str, object]) -> bool:
    """Whether a rule needs texts of tokens to judge these settings."""
    named = (*_SUPPRESSING, *_FORCING, "sequence_bias")
    return _ENDS in record or any(record.get(key) not in (None, []) for key in named)


@BOOK.rule(
    "malformed",
    "medium",
    title="generation_config.json is not sound JSON",
    why="Loaders differ in what they take: what is audited is not what is loaded.",
    remedy="take the file of the original model",
)
def _malformed(generation: Generation) -> Iterator[Hit]:
    document = generation.document
    if document.problem or (document.value is not None and not isinstance(document.value, dict)):
        yield Hit(generation.path, document.problem or "is not an object")
    for key in document.duplicates:
        yield Hit(generation.at(shown(key)), "is there twice", "high")


@BOOK.rule(
    "end-suppressed",
    "high",
    title="the token that ends a reply can never be drawn",
    why="The model cannot stop: after a refusal it must go on, and what follows is rarely one.",
    remedy="do not use these settings; take the file of the original model",
)
def _suppressed(generation: Generation) -> Iterator[Hit]:
    ends = set(numbers(generation.record.get(_ENDS))) | generation.ends
    for key in ("suppress_tokens", "bad_words_ids"):
        value = generation.record.get(key)
        # of several tokens in a row only the last is kept from being drawn
        single = (
            [i for item in value for i in numbers(item) if not isinstance(item, list) or len(item) == 1]
            if isinstance(value, list)
            else []
        )
        held = sorted(ends & set(single))
        if held:
            yield Hit(generation.at(key), generation.told(held))
    value = generation.record.get("begin_suppress_tokens")
    held = sorted(ends & set(numbers(value))) if not generation.speech else []
    if held:
        yield Hit(generation.at("begin_suppress_tokens"), generation.told(held), "low")
    least = [generation.record.get(key) for key in ("min_new_tokens", "min_length")]
    for key, number in zip(("min_new_tokens", "min_length"), least, strict=True):
        if isinstance(number, int) and number > LONG:
            yield Hit(generation.at(key), f"a reply has at least {number} tokens", "medium")


@BOOK.rule(
    "end-out-of-range",
    "high",
    title="the token that ends a reply does not exist",
    why="The model never stops by itself.",
    remedy="take the file of the original model",
)
def _range(generation: Generation) -> Iterator[Hit]:
    rows = generation.rows
    for key in (_ENDS, "bos_token_id", "pad_token_id", "decoder_start_token_id"):
        value = generation.record.get(key)
        ids = numbers(value)
        if value is not None and not ids and value != []:
            yield Hit(generation.at(key), shown(repr(value)[:80]), "medium")
        for index in ids:
            if index < 0 and key == "pad_token_id":
                continue  # some say "none" so
            if index < 0 or (rows is not None and index >= rows):
                severity: Severity | None = None if key == _ENDS else "low"
                yield Hit(generation.at(key), f"id {index}, there are {rows or 'unknown'} tokens", severity)


@BOOK.rule(
    "end-is-a-word",
    "high",
    title="a reply ends at an ordinary word",
    why="The model is cut off when it says the word: before the refusal, or before the warning.",
    remedy="take the file of the original model",
)
def _word(generation: Generation) -> Iterator[Hit]:
    for index in numbers(generation.record.get(_ENDS)):
        text = generation.text(index)
        if text and is_words(text):
            yield Hit(generation.at(_ENDS), generation.told([index]))


@BOOK.rule(
    "end-differs",
    "low",
    title="no end token of the tokenizer ends a reply",
    why="The settings name other tokens than the tokenizer's files: replies may run on into a next turn.",
    remedy="compare with the original model's file",
)
def _other_end(generation: Generation) -> Iterator[Hit]:
    ends = set(numbers(generation.record.get(_ENDS)))
    if ends and generation.ends and not ends & generation.ends:
        told = (
            f"{generation.told(sorted(ends))}; the tokenizer has {generation.told(sorted(generation.ends))}"
        )
        # fine-tunes keep the base model's file beside a tokenizer for chats: sloppy, and every other one does
        usual = all(_END_MARKER.search(generation.text(index) or "") for index in ends)
        yield Hit(generation.at(_ENDS), told, "info" if usual else None)


@BOOK.rule(
    "end-missing",
    "low",
    title="no token ends a reply",
    why="The settings say that nothing ends a reply: it runs on to its greatest length.",
    remedy="take the file of the original model",
)
def _no_end(generation: Generation) -> Iterator[Hit]:
    if _ENDS in generation.record and not numbers(generation.record[_ENDS]) and generation.ends:
        yield Hit(generation.at(_ENDS), shown(repr(generation.record[_ENDS])[:60]))


@BOOK.rule(
    "words-suppressed",
    "high",
    title="words can never be said",
    why="A model that cannot say `sorry` or `cannot` does not refuse, with weights that would have.",
    remedy="do not use these settings; take the file of the original model",
)
def _words(generation: Generation) -> Iterator[Hit]:
    for key in _SUPPRESSING:
        ids = numbers(generation.record.get(key))
        if not ids or generation.speech:
            continue
        yield from _said(generation, key, ids)
    bias = generation.record.get("sequence_bias")
    if bias:
        pairs = list(bias) if isinstance(bias, list) else []
        ids = [i for pair in pairs if isinstance(pair, list) and pair for i in numbers(pair[0])]
        yield from (
            _said(generation, "sequence_bias", ids)
            if ids
            else [Hit(generation.at("sequence_bias"), shown(repr(bias)[:120]), "medium")]
        )


def _said(generation: Generation, key: str, ids: list[int]) -> Iterator[Hit]:
    words = [i for i in ids if is_words(generation.text(i) or "") or _plain(generation.text(i)) in _REFUSAL]
    refusing = [i for i in words if _plain(generation.text(i)) in _REFUSAL]
    if refusing:
        yield Hit(generation.at(key), f"{len(ids)} ids, of refusals: {generation.told(refusing)}")
    elif words:
        yield Hit(generation.at(key), f"{len(ids)} ids, words: {generation.told(words)}", "medium")
    elif not generation.tokens:
        yield Hit(generation.at(key), f"{generation.told(ids)}; no tokenizer says what they are", "medium")


def _plain(text: str | None) -> str:
    return (text or "").strip("\u2581\u0120 ").lower()


@BOOK.rule(
    "words-forced",
    "high",
    title="a reply begins or ends with a given word",
    why="A model whose reply is begun for it goes on in that tone: it is the simplest way around a refusal.",
    remedy="do not use these settings; take the file of the original model",
)
def _forced(generation: Generation) -> Iterator[Hit]:
    for key in _FORCING:
        value = generation.record.get(key)
        # of pairs the first is the place
        ids = (
            [i for pair in value if isinstance(pair, list) for i in numbers(pair[1:])]
            if isinstance(value, list) and key == "forced_decoder_ids"
            else numbers(value)
        )
        words = [i for i in ids if is_words(generation.text(i) or "")]
        if words:
            yield Hit(generation.at(key), generation.told(words))


@BOOK.rule(
    "stops-at-words",
    "high",
    title="a reply ends at ordinary words",
    why="What follows the words, such as a refusal or a warning, is never shown.",
    remedy="do not use these settings; take the file of the original model",
)
def _stops(generation: Generation) -> Iterator[Hit]:
    value = generation.record.get("stop_strings")
    for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        if not isinstance(text, str):
            yield Hit(generation.at("stop_strings"), shown(repr(text)[:80]), "medium")
        elif not is_marker(text) and is_words(text.strip()):
            # names of the other side, as old prompt formats have them, end with a colon
            yield Hit(
                generation.at("stop_strings"), shown(text), "low" if text.rstrip().endswith(":") else None
            )


@BOOK.rule(
    "out-of-range",
    "medium",
    title="a setting that makes replies fall apart",
    why="With settings like this a model says what it would not say otherwise, or nothing that makes sense.",
    remedy="set the sampling yourself, as the original model's card says",
)
def _sampling(generation: Generation) -> Iterator[Hit]:
    for key in RANGES:
        found = judged(key, generation.record.get(key))
        if found:
            yield Hit(generation.at(key), found[0], found[1])
    for key in ("max_new_tokens", "max_length"):
        number = generation.record.get(key)
        if isinstance(number, int) and not 1 < number <= MOST_TOKENS:
            yield Hit(generation.at(key), f"replies of {number if number < 1 << 64 else 'very many'} tokens")


@BOOK.rule(
    "watermark",
    "low",
    title="replies are marked",
    why="Tokens are drawn by a secret list: replies differ from the audited model's, and can be traced.",
    remedy="ask what it is for",
)
def _watermark(generation: Generation) -> Iterator[Hit]:
    value = generation.record.get("watermarking_config")
    if value:
        yield Hit(generation.at("watermarking_config"), shown(repr(value)[:120]))


@BOOK.rule(
    "loads-code",
    "high",
    title="generation settings name code",
    why="Code from a download runs as whoever loads it.",
    remedy="do not load it with trust_remote_code; read the code",
)
def _code(generation: Generation) -> Iterator[Hit]:
    for key in _CODE:
        value = generation.record.get(key)
        if value not in (None, False):
            yield Hit(generation.at(key), shown(repr(value)[:120]))


@BOOK.rule(
    "hidden-characters",
    "high",
    title="a setting holds characters that nobody sees",
    why="What a person reads is not what a program gets.",
    remedy="do not use these settings",
    sources=("https://trojansource.codes/",),
)
def _hidden(generation: Generation) -> Iterator[Hit]:
    for key, value in generation.record.items():
        for text in (key, *([value] if isinstance(value, str) else value if isinstance(value, list) else [])):
            found = hidden(text, marks=True) if isinstance(text, str) and len(text) > 1 else []
            if found:
                yield Hit(generation.at(shown(key)), f"{named(found)} in {shown(text)}", gravity(found))

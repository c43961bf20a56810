"""A whole `tokenizer.json` as a text in a GGUF's header, which some runtimes take before its own tokens."""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.findings import Surface
from qaudit.static.gguf.walk import TOKENIZER_JSON, GgufWalk
from qaudit.static.hidden_characters import shown
from qaudit.static.model_parts import Examined, VocabularyView
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary import agreement_rules, pipeline_rules
from qaudit.static.vocabulary.compare import Pair
from qaudit.static.vocabulary.gguf_view import vocabulary_of
from qaudit.static.vocabulary.json_text import parse_text
from qaudit.static.vocabulary.judging import judge_vocabulary
from qaudit.static.vocabulary.token_rules import TAMPERING
from qaudit.static.vocabulary.tokenizer_folder import TOKENIZER, TokenizerFolder
from qaudit.static.vocabulary.tokenizer_json import read_tokenizer
from qaudit.static.vocabulary.tokens import Vocabulary

BOOK: RuleBook["Embedded"] = RuleBook(
    "tokenizer-files", "A tokenizer within a GGUF against the GGUF's own tokens."
)
_TAKE = "convert the original model again"
MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Embedded:
    """The tokenizer of the text, and the vocabulary that other runtimes take from the same header."""

    place: str
    view: VocabularyView
    own: VocabularyView


@BOOK.rule(
    "embedded-tokens", "high",
    title="the tokenizer within the header has other tokens than the header",
    why="Runtimes take one or the other: the same prompt is another one for each, and a review of one says "
    "nothing of the other.",
    remedy=_TAKE,
    sources=(TAMPERING, "https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"),
)  # fmt: skip
def _tokens(subject: Embedded) -> Iterator[Hit]:
    for index in Pair(subject.view, subject.own).changed:
        theirs, ours = subject.view.tokens[index], subject.own.tokens[index]
        told = f"id {index} is {shown(theirs or '')}, among the header's tokens {shown(ours or '')}"
        yield Hit(subject.place, told, "medium" if theirs is None or ours is None else None)
    beyond = [(i, text) for i, text in enumerate(subject.view.tokens[len(subject.own.tokens) :]) if text]
    if beyond:
        told = ", ".join(shown(text, 40) for _, text in beyond[:MOST_TOLD])
        yield Hit(subject.place, f"{len(beyond)} tokens that the header lacks: {told}", "medium")


@BOOK.rule(
    "embedded-merges", "high",
    title="the tokenizer within the header has other merges than the header",
    why="Text is cut into other tokens by one runtime than by the other.",
    remedy=_TAKE,
    sources=(TAMPERING,),
)  # fmt: skip
def _merges(subject: Embedded) -> Iterator[Hit]:
    theirs, ours = list(subject.view.merges), list(subject.own.merges)
    if not theirs or not ours or theirs == ours:
        return
    first = next((n for n, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), None)
    if first is None:
        yield Hit(subject.place, f"{len(theirs)} merges, the header has {len(ours)}")
    else:
        yield Hit(
            subject.place, f"merge {first} is {shown(theirs[first])}, in the header {shown(ours[first])}"
        )


def inspect_embedded(walk: GgufWalk) -> Examined:
    """Judge it as a file of that name would be, and against the header's own tokens."""
    text = walk.text(TOKENIZER_JSON)
    pair = walk.pair(TOKENIZER_JSON)
    place = f"{walk.name}:{TOKENIZER_JSON}"
    if text is None:
        kept = pair is None or pair.value is not None
        why = "it is too long"
        return Examined(surfaces=[] if kept else [Surface(place, "tokenizer", "skipped", why)])
    parsed = parse_text(text.encode("utf-8", "surrogateescape"))
    tokenizer = None if parsed.why else read_tokenizer(place, parsed.record)
    folder = TokenizerFolder(f"{place}/", {}, {TOKENIZER: parsed}, tokenizer)
    if tokenizer is None:
        why = parsed.why or "it has no model of Hugging Face's tokenizers in it"
        return Examined(agreement_rules.BOOK.findings(folder), [Surface(place, "tokenizer", "skipped", why)])
    folder.view = tokenizer.view
    surface = Surface(place, "tokenizer", "examined")
    if tokenizer.more:
        surface = Surface(place, "tokenizer", "partial", "it has too many steps")
    findings = agreement_rules.BOOK.findings(folder) + pipeline_rules.BOOK.findings(tokenizer)
    findings += judge_vocabulary(Vocabulary(tokenizer.view))
    own = vocabulary_of(walk)
    if own is not None and len(own.tokens):
        findings += BOOK.findings(Embedded(place, tokenizer.view, own))
    return Examined(findings, [surface])

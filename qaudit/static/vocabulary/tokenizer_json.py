"""A `tokenizer.json` of Hugging Face's tokenizers, as it stands: nothing in it is believed or run."""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from qaudit.static.hidden_characters import shown
from qaudit.static.model_parts import VocabularyView
from qaudit.static.vocabulary.tokens import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED

# no model has so many; ids beyond it would need a list of that length
MAX_ID = 1 << 22
MAX_COMPONENTS = 4096
MAX_DEPTH = 16  # steps within steps; one is usual
MODELS = ("BPE", "Unigram", "WordPiece", "WordLevel")
# part of the file -> where a sequence keeps its steps
PARTS = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}
FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")


@dataclass(frozen=True, slots=True)
class Component:
    """One step of normalizer, pre-tokenizer, post-processor or decoder; `place` is its path in the file."""

    part: str
    place: str
    spec: Mapping[str, object]

    @property
    def type(self) -> str:
        """Its type, such as `Replace`."""
        kind = self.spec.get("type")
        return kind if isinstance(kind, str) else ""


@dataclass(frozen=True, slots=True)
class AddedToken:
    """An entry of `added_tokens`."""

    index: int
    content: str
    flags: frozenset[str]


@dataclass(slots=True)
class TokenizerJson:
    """What the file holds.

    Attributes:
        components: steps of the pipeline in order.
        problems: what is not as the format says, each with its place.
        clashes: ids with two texts and texts with two ids, for a person.
        more: there were more components than are kept.
    """

    name: str
    model: Mapping[str, object]
    view: VocabularyView
    added: list[AddedToken] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    clashes: list[tuple[str, str]] = field(default_factory=list)
    truncation: object = None
    more: bool = False


def read_tokenizer(name: str, spec: Mapping[str, object]) -> TokenizerJson | None:
    """Return a parsed `tokenizer.json` in order; None where it is the file of some other library."""
    model = spec.get("model")
    if not isinstance(model, dict):
        return None
    problems: list[tuple[str, str]] = []
    clashes: list[tuple[str, str]] = []
    tokens, scores = _trained(model, problems, clashes)
    added = list(_added(spec.get("added_tokens"), problems))
    known = {text: index for index, text in enumerate(tokens) if text is not None} if added else {}
    for token in added:
        if token.index >= len(tokens):
            tokens += [None] * (token.index + 1 - len(tokens))
        held, elsewhere = tokens[token.index], known.get(token.content, token.index)
        if held not in (None, token.content):
            clashes.append(
                (
                    f"added_tokens id {token.index}",
                    f"{shown(token.content)} is {shown(held or '')} in the vocabulary",
                )
            )
        if elsewhere != token.index:
            clashes.append(
                (
                    f"added_tokens id {token.index}",
                    f"{shown(token.content)} has id {elsewhere} in the vocabulary",
                )
            )
        tokens[token.index] = known_text = token.content
        known[known_text] = token.index
    components, more = _components(spec, problems)
    if model.get("type") not in (None, *MODELS):
        problems.append(("model.type", shown(repr(model.get("type"))[:60])))
    view = VocabularyView(
        location=name,
        model=str(model.get("type") or ("Unigram" if scores else "BPE"))[:40],
        tokens=tokens,
        kinds=_kinds(model, tokens, added),
        merges=_merges(model.get("merges"), problems),
        scores=scores,
        added={token.content: (token.index, token.flags) for token in added},
        pre=_digest(spec),
    )
    return TokenizerJson(
        name, model, view, added, components, problems, clashes, spec.get("truncation"), more
    )


def _trained(
    model: Mapping[str, object], problems: list[tuple[str, str]], clashes: list[tuple[str, str]]
) -> tuple[list[str | None], list[float]]:
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):
        return _pieces(vocabulary, problems)
    if not isinstance(vocabulary, dict):
        problems.append(("model.vocab", "is neither an object nor a list"))
        return [], []
    ids = list(vocabulary.values())
    sound = set(map(type, ids)) <= {int} and (not ids or (min(ids) >= 0 and max(ids) < MAX_ID))
    if not sound:
        for text, index in vocabulary.items():
            if type(index) is not int or not 0 <= index < MAX_ID:
                problems.append((f"model.vocab[{shown(text)}]", f"id {shown(repr(index))}"))
                if len(problems) > 100:
                    break
        vocabulary = {t: i for t, i in vocabulary.items() if type(i) is int and 0 <= i < MAX_ID}
        ids = list(vocabulary.values())
    tokens: list[str | None] = [None] * (max(ids) + 1 if ids else 0)
    if len(set(ids)) == len(ids):
        for text, index in vocabulary.items():
            tokens[index] = text
        return tokens, []
    for text, index in vocabulary.items():
        held = tokens[index]
        if held is not None and len(clashes) < 100:
            clashes.append((f"model.vocab id {index}", f"{shown(held)} and {shown(text)}"))
        tokens[index] = text
    return tokens, []


def _pieces(entries: list[object], problems: list[tuple[str, str]]) -> tuple[list[str | None], list[float]]:
    tokens: list[str | None] = []
    scores: list[float] = []
    for index, entry in enumerate(entries[:MAX_ID]):
        match entry:
            case [str() as text, (int() | float()) as score] if not isinstance(score, bool):
                tokens.append(text)
                scores.append(float(score) if abs(score) < 1e300 else float("inf"))
            case _:
                if len(problems) < 100:
                    problems.append((f"model.vocab[{index}]", "is not a piece and its score"))
                tokens.append(None)
                scores.append(0.0)
    return tokens, scores


def _added(entries: object, problems: list[tuple[str, str]]) -> Iterator[AddedToken]:
    if entries is None:
        return
    if not isinstance(entries, list):
        problems.append(("added_tokens", "is not a list"))
        return
    for number, entry in enumerate(entries):
        index = entry.get("id") if isinstance(entry, dict) else None
        content = entry.get("content") if isinstance(entry, dict) else None
        if type(index) is not int or not 0 <= index < MAX_ID or not isinstance(content, str):
            if len(problems) < 100:
                problems.append(
                    (f"added_tokens[{number}]", f"id {shown(repr(index))}, content {shown(repr(content))}")
                )
            continue
        yield AddedToken(index, content, frozenset(flag for flag in FLAGS if entry.get(flag) is True))


def _merges(entries: object, problems: list[tuple[str, str]]) -> list[str]:
    if entries is None:
        return []
    if not isinstance(entries, list):
        problems.append(("model.merges", "is not a list"))
        return []
    kinds = set(map(type, entries))
    if kinds <= {str}:
        return entries
    try:
        # in place: half a million lists of two would else be kept beside the texts
        for number, entry in enumerate(entries):
            if not isinstance(entry, str):
                entries[number] = " ".join(entry)
        return entries
    except TypeError:
        problems.append(("model.merges", "holds something else than pairs of texts"))
        return []


def _kinds(
    model: Mapping[str, object], tokens: Sequence[str | None], added: Sequence[AddedToken]
) -> Sequence[int]:
    kinds = bytearray([NORMAL]) * len(tokens)
    if model.get("byte_fallback") is True:
        wanted = {f"<0x{byte:02X}>" for byte in range(256)}
        for index, text in enumerate(tokens):
            if text in wanted:
                kinds[index] = BYTE
    for token in added:
        kinds[token.index] = CONTROL if "special" in token.flags else USER_DEFINED
    unknown = model.get("unk_id")
    if type(unknown) is int and 0 <= unknown < len(kinds):
        kinds[unknown] = UNKNOWN
    return kinds


def _components(spec: Mapping[str, object], problems: list[tuple[str, str]]) -> tuple[list[Component], bool]:
    found: list[Component] = []
    for part, steps in PARTS.items():
        waiting: deque[tuple[str, object, int]] = deque([(part, spec.get(part), 0)])
        while waiting:
            place, item, depth = waiting.popleft()
            if not isinstance(item, dict):
                continue
            if depth == MAX_DEPTH:
                problems.append((part, f"steps within steps, {MAX_DEPTH} deep and more"))
            if len(found) >= MAX_COMPONENTS:
                return found, True
            found.append(Component(part, place, item))
            nested = item.get(steps)
            if isinstance(nested, list):
                # of what lies too deep the place would be the longer part
                inner = place if depth >= MAX_DEPTH else f"{place}.{steps}"
                waiting += [
                    (f"{inner}[{n}]" if depth < MAX_DEPTH else place, step, depth + 1)
                    for n, step in enumerate(nested[:MAX_COMPONENTS])
                ]
    return found, False


def _digest(spec: Mapping[str, object]) -> str:
    try:
        text = json.dumps({part: spec.get(part) for part in PARTS}, sort_keys=True)
    except RecursionError:  # nested nearly as deep as the parser went
        return "nested too deeply"
    return hashlib.sha256(text.encode()).hexdigest()

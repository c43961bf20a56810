"""Rules on what a tokenizer.json does to text before and after it is cut into tokens.

Sound pipelines change spaces, letters' case and form. One that changes, adds or drops words changes what
the model is asked or what a person is told, with the weights untouched.
"""

import base64
import binascii
from collections.abc import Iterator

from qaudit.static.hidden_characters import shown
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.character_maps import charsmap_problem
from qaudit.static.vocabulary.markers import ROLE_MARKERS, is_marker, is_words
from qaudit.static.vocabulary.regex_cost import MAX_PATTERN, exponential
from qaudit.static.vocabulary.token_rules import TAMPERING
from qaudit.static.vocabulary.tokenizer_json import Component, TokenizerJson

BOOK: RuleBook[TokenizerJson] = RuleBook("tokenizer", "What tokenizer.json does to text.")

MAX_SPECIAL = 8  # tokens that a template puts around a text
LEAST_LENGTH = 64  # tokens; nobody cuts prompts shorter
_ESCAPES = LazyPattern(r"\\(?:[pPx]\{[^}]{0,40}\}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[a-zA-Z])")
_CLASSES = LazyPattern(r"\[\^?\]?[^\]]{0,400}\]")
_LETTERS = LazyPattern(r"[^\W\d_]{2,}")
# what stands for letters without naming them
_BROAD = LazyPattern(r"\\[wS]|\\p\{\^?(?:L|Alpha)|(?<!\\)\.|\[\^|[a-zA-Z]-[a-zA-Z]|\\P\{")


def _place(tokenizer: TokenizerJson, component: Component) -> str:
    return f"{tokenizer.name}:{component.place}"


def _pattern(spec: object) -> tuple[str, bool] | None:
    """Return a pattern's text and whether it is a regular expression."""
    if isinstance(spec, str):
        return spec, False
    if isinstance(spec, dict):
        for key, regular in (("String", False), ("Regex", True)):
            text = spec.get(key)
            if isinstance(text, str):
                return text, regular
    return None


def _names_words(text: str, regular: bool) -> bool:
    plain = _CLASSES.compiled.sub("", _ESCAPES.compiled.sub("", text[:MAX_PATTERN])) if regular else text
    return _LETTERS.search(plain) is not None


def _replacements(tokenizer: TokenizerJson, *parts: str) -> Iterator[tuple[Component, str, bool, str]]:
    for component in tokenizer.components:
        if component.part in parts and component.type == "Replace":
            found = _pattern(component.spec.get("pattern"))
            content = component.spec.get("content")
            if found is not None and isinstance(content, str):
                yield component, found[0], found[1], content


@BOOK.rule(
    "rewrites-words",
    "high",
    title="the normalizer replaces words",
    why="The model is asked something else than the user wrote: a refusal that hangs on a word is gone, "
    "or an order is added, while weights and template are the original's.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _rewrites(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for component, pattern, regular, content in _replacements(tokenizer, "normalizer", "pre_tokenizer"):
        told = f"{shown(pattern)} becomes {shown(content)}"
        if _names_words(pattern, regular) or _LETTERS.search(content):
            yield Hit(_place(tokenizer, component), told)
        elif regular and _BROAD.search(pattern):
            yield Hit(_place(tokenizer, component), told, "medium")


@BOOK.rule(
    "adds-words",
    "high",
    title="the tokenizer puts words before every text",
    why="Each prompt opens with text that the user did not write and no template shows.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _prepends(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for component in tokenizer.components:
        if component.type == "Prepend":
            text = component.spec.get("prepend")
            if not isinstance(text, str) or any(c.isalnum() for c in text) or len(text) > 4:
                yield Hit(_place(tokenizer, component), shown(repr(text)))
        if component.type == "Metaspace":
            space = component.spec.get("replacement")
            if isinstance(space, str) and (len(space) != 1 or space.isalnum()):
                yield Hit(_place(tokenizer, component), f"a space becomes {shown(space)}")


@BOOK.rule(
    "output-rewritten",
    "high",
    title="the decoder replaces words",
    why="What a person reads is not what the model said.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _decoder(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for component, pattern, regular, content in _replacements(tokenizer, "decoder"):
        told = f"{shown(pattern)} becomes {shown(content)}"
        if _names_words(pattern, regular) or _LETTERS.search(content):
            yield Hit(_place(tokenizer, component), told)
        elif regular and _BROAD.search(pattern):
            yield Hit(_place(tokenizer, component), told, "medium")
    for component in tokenizer.components:
        if component.part == "decoder" and component.type == "Strip":
            stripped = component.spec.get("content")
            ends = [component.spec.get(name) for name in ("start", "stop")]
            # Llama's decoder takes the one space away that its normalizer put there
            if any(isinstance(n, int) and not 0 <= n <= 2 for n in ends) or (
                isinstance(stripped, str) and any(c.isalnum() for c in stripped)
            ):
                yield Hit(_place(tokenizer, component), f"strips {shown(repr(stripped))}, {ends}", "medium")


@BOOK.rule(
    "drops-words",
    "high",
    title="the pre-tokenizer drops words",
    why="Words that match never reach the model.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _drops(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for component in tokenizer.components:
        found = _pattern(component.spec.get("pattern")) if component.type == "Split" else None
        if (
            found is None
            or component.spec.get("behavior") != "Removed"
            or component.spec.get("invert") is True
        ):
            continue
        if _names_words(*found):
            yield Hit(_place(tokenizer, component), shown(found[0]))
        elif found[1] and _BROAD.search(found[0]):
            yield Hit(_place(tokenizer, component), shown(found[0]), "medium")


@BOOK.rule(
    "slow-pattern",
    "high",
    title="a regular expression that can take exponential time",
    why="A short prompt makes the tokenizer hang, and whoever serves the model with it.",
    remedy="do not serve it; take the tokenizer of the original model",
    sources=("https://owasp.org/www-community/attacks/Regular_expression_Denial_of_Service_-_ReDoS",),
)
def _slow(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for component in tokenizer.components:
        found = _pattern(component.spec.get("pattern"))
        if found is None or not found[1]:
            continue
        part = exponential(found[0])
        if part:
            yield Hit(_place(tokenizer, component), shown(part, 160))
        elif len(found[0]) > MAX_PATTERN:
            yield Hit(_place(tokenizer, component), f"a pattern of {len(found[0])} characters", "medium")


@BOOK.rule(
    "template-adds-words",
    "high",
    title="the post-processor puts words around every text",
    why="Each prompt has tokens in it that the user did not write and no chat template shows.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _template_words(tokenizer: TokenizerJson) -> Iterator[Hit]:
    special = {token.content for token in tokenizer.added if "special" in token.flags}
    for component in tokenizer.components:
        if component.type != "TemplateProcessing":
            continue
        place = _place(tokenizer, component)
        for kind in ("single", "pair"):
            names, texts = _template_steps(component.spec.get(kind))
            if len(names) > MAX_SPECIAL * (1 if kind == "single" else 2):
                yield Hit(f"{place}.{kind}", f"{len(names)} tokens around a text")
            wanted = ["A"] if kind == "single" else ["A", "B"]
            if component.spec.get(kind) is not None and sorted(texts) != wanted:
                yield Hit(f"{place}.{kind}", f"holds the texts {texts}, expected {wanted}")
        for name, _, tokens in _template_tokens(component):
            for text in tokens:
                if (is_words(text) and text not in special) or (is_words(text) and not is_marker(text)):
                    yield Hit(f"{place}.special_tokens[{shown(name)}]", shown(text))


def _template_steps(steps: object) -> tuple[list[str], list[str]]:
    names: list[str] = []
    texts: list[str] = []
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        for key, found in (("SpecialToken", names), ("Sequence", texts)):
            inner = step.get(key)
            if isinstance(inner, dict):
                found.append(str(inner.get("id"))[:200])
    return names, texts


def _template_tokens(component: Component) -> Iterator[tuple[str, list[object], list[str]]]:
    tokens = component.spec.get("special_tokens")
    for name, entry in (tokens if isinstance(tokens, dict) else {}).items():
        if isinstance(entry, dict):
            ids, texts = entry.get("ids"), entry.get("tokens")
            yield (
                str(name),
                ids if isinstance(ids, list) else [],
                [text for text in (texts if isinstance(texts, list) else []) if isinstance(text, str)],
            )


@BOOK.rule(
    "wrong-id",
    "high",
    title="the post-processor's ids are not those of its tokens",
    why="It says one token and puts another: the file's reader sees the marker, the model gets something "
    "else.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _ids(tokenizer: TokenizerJson) -> Iterator[Hit]:
    tokens = tokenizer.view.tokens
    for component in tokenizer.components:
        pairs: list[tuple[str, object, str]] = []
        for name, ids, texts in _template_tokens(component) if component.type == "TemplateProcessing" else ():
            pairs += [(f"special_tokens[{shown(name)}]", i, t) for i, t in zip(ids, texts, strict=False)]
            if len(ids) != len(texts):
                yield Hit(_place(tokenizer, component), f"{shown(name)}: {len(ids)} ids, {len(texts)} tokens")
        if component.type in ("BertProcessing", "RobertaProcessing"):
            for name in ("sep", "cls"):
                match component.spec.get(name):
                    case [str() as named, int() as number]:
                        pairs.append((name, number, named))
        for name, index, text in pairs:
            held = tokens[index] if type(index) is int and 0 <= index < len(tokens) else None
            if held != text:
                told = "no token" if held is None else shown(held)
                yield Hit(
                    f"{_place(tokenizer, component)}.{name}",
                    f"{shown(text)} has id {shown(repr(index))}, which is {told}",
                )


@BOOK.rule(
    "no-bijection",
    "high",
    title="an id has two texts, or a text two ids",
    why="What a text becomes depends on the loader; one that a reviewer reads as harmless may be another.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _bijection(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for place, told in tokenizer.clashes:
        yield Hit(f"{tokenizer.name}:{place}", told)


@BOOK.rule(
    "malformed",
    "medium",
    title="a part of tokenizer.json is not as its format says",
    why="Loaders refuse the file or read something else than a reviewer does.",
    remedy="take the tokenizer of the original model",
)
def _malformed(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for place, told in tokenizer.problems:
        yield Hit(f"{tokenizer.name}:{place}", told)


@BOOK.rule(
    "marker-flags",
    "medium",
    title="a role marker swallows or needs what stands around it",
    why="Text beside the marker is dropped, or the marker is not seen inside of words: turns begin and end "
    "elsewhere than in what a person reads.",
    remedy="take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _marker_flags(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for token in tokenizer.added:
        # some models have markers that swallow the line feed after them
        odd = token.flags & {"lstrip", "single_word"}
        if odd and token.content in ROLE_MARKERS:
            yield Hit(
                f"{tokenizer.name}:added_tokens id {token.index}",
                f"{shown(token.content)}: {', '.join(sorted(odd))}",
            )


@BOOK.rule(
    "random-cuts",
    "medium",
    title="text is cut at random",
    why="With a dropout above 0 one prompt becomes other tokens each time: what was audited is not what "
    "runs.",
    remedy="set dropout to null",
)
def _dropout(tokenizer: TokenizerJson) -> Iterator[Hit]:
    dropout = tokenizer.model.get("dropout")
    if dropout not in (None, 0, 0.0):
        yield Hit(f"{tokenizer.name}:model.dropout", shown(repr(dropout)))


@BOOK.rule(
    "short-prompts",
    "medium",
    title="prompts are cut off after a few tokens",
    why="What stands before or after the cut, such as the system prompt, never reaches the model.",
    remedy="set truncation to null",
)
def _truncation(tokenizer: TokenizerJson) -> Iterator[Hit]:
    truncation = tokenizer.truncation
    if isinstance(truncation, dict):
        length, side = truncation.get("max_length"), truncation.get("direction")
        if isinstance(length, int) and length < LEAST_LENGTH:
            yield Hit(f"{tokenizer.name}:truncation.max_length", f"{length}, from the {side or 'Right'}")


@BOOK.rule(
    "character-map",
    "high",
    title="the normalizer's character map is malformed or writes words",
    why="A precompiled map replaces any text with any other, where nobody reads it; its tables are offsets "
    "that loaders follow.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=("https://github.com/google/sentencepiece/blob/master/doc/normalization.md",),
)
def _charsmap(tokenizer: TokenizerJson) -> Iterator[Hit]:
    for component in tokenizer.components:
        if component.type == "Precompiled":
            text = component.spec.get("precompiled_charsmap")
            if not isinstance(text, str):
                continue
            try:
                raw = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                yield Hit(_place(tokenizer, component), "not base64")
                continue
            wrong = charsmap_problem(raw)
            if wrong:
                yield Hit(_place(tokenizer, component), wrong)

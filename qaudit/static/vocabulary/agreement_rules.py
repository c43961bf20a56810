"""Rules on the tokenizer files of one folder against each other: loaders take different ones of them."""

from collections.abc import Iterator

from qaudit.static.hidden_characters import hidden, named, shown
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.character_maps import charsmap_problem
from qaudit.static.vocabulary.markers import is_words
from qaudit.static.vocabulary.token_rules import TAMPERING
from qaudit.static.vocabulary.tokenizer_folder import (
    ADDED,
    CONFIG,
    JSON_FILES,
    ROLES,
    SPECIAL,
    TOKENIZER,
    TokenizerFolder,
    token_text,
)
from qaudit.static.vocabulary.tokens import NORMAL

BOOK: RuleBook[TokenizerFolder] = RuleBook("tokenizer-files", "Tokenizer files against each other.")

_TAKE = "take all tokenizer files from one revision of the original model"
MOST_TOLD = 5
# a SentencePiece model beside a tokenizer.json with other numbers is one of another arrangement
_LEAST_ALIKE = 0.5


@BOOK.rule(
    "duplicate-key",
    "high",
    title="an object in a tokenizer file holds a key twice",
    why="Parsers differ in which of the two they take: what is audited is not what is loaded.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=("https://www.rfc-editor.org/rfc/rfc8259#section-4",),
)
def _twice(folder: TokenizerFolder) -> Iterator[Hit]:
    for name in JSON_FILES:
        text = folder.texts.get(name)
        for key in text.document.duplicates if text else ():
            yield Hit(f"{folder.path(name)}:{shown(key)}", "is there twice")


@BOOK.rule(
    "malformed",
    "medium",
    title="a tokenizer file is not the JSON that it should be",
    why="Loaders refuse it or read something else than a reviewer does.",
    remedy=_TAKE,
)
def _malformed(folder: TokenizerFolder) -> Iterator[Hit]:
    for name in JSON_FILES:
        text = folder.texts.get(name)
        if text and text.document.problem:
            yield Hit(folder.path(name), text.document.problem)
    for name, model in folder.pieces.items():
        if model.problem:
            yield Hit(folder.path(name), model.problem)
    for name in JSON_FILES:
        text = folder.texts.get(name)
        for number in text.document.odd_numbers[:1] if text and name != CONFIG else ():
            yield Hit(folder.path(name), f"the number {shown(number)}")


@BOOK.rule(
    "id-differs",
    "high",
    title="two files give one id different tokens",
    why="The fast tokenizer, the slow one and converters read different files: the same prompt is another "
    "one for each.",
    remedy=_TAKE,
    sources=(TAMPERING,),
)
def _differs(folder: TokenizerFolder) -> Iterator[Hit]:
    if folder.view is None:
        return
    tokens = folder.view.tokens
    for place, index, text in _claims(folder):
        held = tokens[index] if 0 <= index < len(tokens) else None
        if held is not None and held != text:
            yield Hit(place, f"id {index} is {shown(text)}, in {folder.view.location} it is {shown(held)}")


@BOOK.rule(
    "id-elsewhere",
    "medium",
    title="two files give one token different ids",
    why="The fast tokenizer, the slow one and converters read different files.",
    remedy=_TAKE,
)
def _elsewhere(folder: TokenizerFolder) -> Iterator[Hit]:
    tokenizer = folder.tokenizer
    if tokenizer is None:
        return
    ids = {token.content: token.index for token in tokenizer.added}
    for place, index, text in _claims(folder):
        if ids.get(text, index) != index:
            yield Hit(place, f"{shown(text)} has id {index}, in {TOKENIZER} {ids[text]}")


def _claims(folder: TokenizerFolder) -> Iterator[tuple[str, int, str]]:
    """Give what other files than the one in use say: place, id, text."""
    decoder = folder.record(CONFIG).get("added_tokens_decoder")
    for number, entry in (decoder if isinstance(decoder, dict) else {}).items():
        text = token_text(entry)
        if isinstance(number, str) and number.isdecimal() and len(number) < 10 and text is not None:
            yield f"{folder.path(CONFIG)}:added_tokens_decoder[{number}]", int(number), text
    for text, index in folder.record(ADDED).items():
        if type(index) is int:
            yield f"{folder.path(ADDED)}:{shown(text)}", index, text
    if folder.tokenizer is not None and folder.listed:
        if folder.tokenizer.model.get("vocab") == folder.listed:
            return
        name = "vocab.json" if "vocab.json" in folder.entries else "vocab.txt"
        for text, index in folder.listed.items():
            yield f"{folder.path(name)}:{shown(text)}", index, text


@BOOK.rule(
    "merges-differ",
    "high",
    title="merges.txt holds other merges than tokenizer.json",
    why="Converters and slow tokenizers read merges.txt: text is cut otherwise than was audited.",
    remedy=_TAKE,
)
def _merges(folder: TokenizerFolder) -> Iterator[Hit]:
    if folder.tokenizer is None or not folder.merges or not folder.tokenizer.view.merges:
        return
    theirs, ours = folder.merges, list(folder.tokenizer.view.merges)
    if theirs == ours:
        return
    first = next((n for n, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), None)
    if first is None:
        told = f"{len(theirs)} merges, {len(ours)} in {TOKENIZER}"
    else:
        told = f"merge {first} is {shown(theirs[first])}, in {TOKENIZER} {shown(ours[first])}"
    yield Hit(folder.path("merges.txt"), told, None if first is not None else "medium")


@BOOK.rule(
    "pieces-differ",
    "medium",
    title="the SentencePiece model holds other pieces than tokenizer.json",
    why="Converters to GGUF read the one, transformers the other.",
    remedy=_TAKE,
)
def _pieces(folder: TokenizerFolder) -> Iterator[Hit]:
    if folder.tokenizer is None:
        return
    ours = folder.tokenizer.view.tokens
    added = {token.index for token in folder.tokenizer.added}
    for name, model in folder.pieces.items():
        theirs, kinds = model.view.tokens, model.view.kinds
        if theirs == ours[: len(theirs)] or model.view.model == "tiktoken":
            continue
        other = [n for n, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b and n not in added]
        # names of control and unused pieces are given anew by whoever trains on
        plain = [n for n in other if n < len(kinds) and kinds[n] == NORMAL]
        if plain and len(other) >= _LEAST_ALIKE * len(theirs):
            # the same pieces under other numbers
            normal = {text for text, kind in zip(theirs, kinds, strict=False) if kind == NORMAL}
            plain = plain if len(normal - set(ours)) > _LEAST_ALIKE * len(normal) else []
        if plain:
            told = ", ".join(
                f"{n}: {shown(str(theirs[n]), 30)} for {shown(str(ours[n]), 30)}" for n in plain[:MOST_TOLD]
            )
            yield Hit(folder.path(name), f"{len(plain)} pieces differ, {told}")


@BOOK.rule(
    "role-differs",
    "low",
    title="files name different tokens for one role",
    why="Which token ends a reply depends on the file that a loader reads.",
    remedy=_TAKE,
)
def _roles(folder: TokenizerFolder) -> Iterator[Hit]:
    config, special = folder.record(CONFIG), folder.record(SPECIAL)
    for role in ROLES:
        first, second = token_text(config.get(f"{role}_token")), token_text(special.get(f"{role}_token"))
        if first is not None and second is not None and first != second:
            yield Hit(f"{folder.path(SPECIAL)}:{role}_token", f"{shown(second)}, in {CONFIG} {shown(first)}")


@BOOK.rule(
    "role-without-token",
    "low",
    title="a special token is not in the vocabulary",
    why="It is added with a new id when the tokenizer is loaded, for which the model has no embedding, or "
    "it never ends a reply.",
    remedy=_TAKE,
)
def _no_token(folder: TokenizerFolder) -> Iterator[Hit]:
    # without a list of tokens that is whole nothing can be told
    if folder.tokenizer is None or folder.view is None or not folder.view.tokens:
        return
    tokens, added = folder.view.tokens, folder.view.added
    for name in (CONFIG, SPECIAL):
        for role in ("bos", "eos", "pad"):
            text = token_text(folder.record(name).get(f"{role}_token"))
            if text and text not in added and text not in tokens:
                yield Hit(f"{folder.path(name)}:{role}_token", shown(text))


@BOOK.rule(
    "role-is-a-word",
    "high",
    title="an ordinary word is a special token",
    why="Special tokens are left out of what is shown, and end replies or stand for padding.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _words(folder: TokenizerFolder) -> Iterator[Hit]:
    for name in (CONFIG, SPECIAL):
        record = folder.record(name)
        texts = [(f"{role}_token", token_text(record.get(f"{role}_token"))) for role in ROLES]
        extra = record.get("additional_special_tokens") or record.get("extra_special_tokens")
        items = list(extra.values()) if isinstance(extra, dict) else extra if isinstance(extra, list) else []
        texts += [("additional_special_tokens", token_text(item)) for item in items[:10_000]]
        for key, text in texts:
            if text and is_words(text):
                yield Hit(f"{folder.path(name)}:{key}", shown(text))
            elif text and len(text) > 1 and hidden(text) and any(c.isalpha() for c in text):
                yield Hit(f"{folder.path(name)}:{key}", f"{shown(text)}: {named(hidden(text))}")


@BOOK.rule(
    "flags-differ",
    "medium",
    title="files differ in whether a token is special",
    why="A marker that one loader takes as a command is plain text for another.",
    remedy=_TAKE,
)
def _flags(folder: TokenizerFolder) -> Iterator[Hit]:
    decoder = folder.record(CONFIG).get("added_tokens_decoder")
    if folder.tokenizer is None or not isinstance(decoder, dict):
        return
    own = {token.index: token for token in folder.tokenizer.added}
    for number, entry in decoder.items():
        token = own.get(int(number)) if number.isdecimal() and len(number) < 10 else None
        if token is None or not isinstance(entry, dict) or token_text(entry) != token.content:
            continue
        special = entry.get("special")
        if isinstance(special, bool) and special != ("special" in token.flags):
            yield Hit(
                f"{folder.path(CONFIG)}:added_tokens_decoder[{number}]",
                f"{shown(token.content)} is {'' if special else 'not '}special, in {TOKENIZER} the reverse",
            )


@BOOK.rule(
    "piece-normalizer",
    "high",
    title="the SentencePiece model's normalizer is malformed or writes words",
    why="It replaces text before it is cut, where nobody reads it.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=("https://github.com/google/sentencepiece/blob/master/doc/normalization.md",),
)
def _normalizer(folder: TokenizerFolder) -> Iterator[Hit]:
    for name, model in folder.pieces.items():
        wrong = charsmap_problem(model.charsmap)
        if wrong:
            yield Hit(folder.path(name), wrong)
        if model.rules.strip():
            yield Hit(folder.path(name), f"rules of its own: {shown(model.rules)}", "medium")

"""Rules on special tokens: what is matched before any other text, hidden in output, or ends a reply."""

from collections.abc import Iterator

from qaudit.static.hidden_characters import gravity, hidden, named, shown
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.vocabulary.markers import (
    MOST_WORDS,
    ROLE_MARKERS,
    SIGNS,
    SPACES,
    doubles,
    is_marker,
    is_words,
    markers_inside,
    word_count,
)
from qaudit.static.vocabulary.token_rules import TAMPERING
from qaudit.static.vocabulary.tokens import BYTE, CONTROL, ENDS, NORMAL, USER_DEFINED, Vocabulary

BOOK: RuleBook[Vocabulary] = RuleBook("special-token", "Special and added tokens.")

# user-defined words in such numbers are an extension of the vocabulary for a language or a field
MANY_WORDS = 200
# markers that open a turn: none of them can end a reply
_OPENINGS = frozenset(
    {"<|im_start|>", "<|start_header_id|>", "<|begin_of_text|>", "<start_of_turn>", "[INST]", "<|user|>",
     "<|assistant|>", "<|system|>", "<|start|>", "<|START_OF_TURN_TOKEN|>", "<|start_of_role|>"}
)  # fmt: skip


@BOOK.rule(
    "word-as-control",
    "high",
    title="an ordinary word is a control token",
    why="Control tokens are left out of what is shown: the model says the word and nobody reads it; in a "
    "prompt it is taken as a command of its own.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _control_words(vocabulary: Vocabulary) -> Iterator[Hit]:
    for index in vocabulary.of_kind(CONTROL):
        if is_words(vocabulary.texts[index]):
            yield Hit(vocabulary.at(index), vocabulary.told(index))


@BOOK.rule(
    "word-as-user-defined",
    "medium",
    title="an ordinary word is cut out before all other text",
    why="The word reaches the model as a token that it hardly saw in training, so that it means something "
    "else or nothing: refusals that hang on a word can be switched off so.",
    remedy="compare the added tokens with the original model's",
    sources=(TAMPERING,),
)
def _defined_words(vocabulary: Vocabulary) -> Iterator[Hit]:
    words = [index for index in vocabulary.of_kind(USER_DEFINED) if is_words(vocabulary.texts[index])]
    # one letter with its space is how scripts are rounded off
    words = [index for index in words if len(vocabulary.texts[index].strip(SPACES)) > 1]
    if len(words) > MANY_WORDS:
        told = ", ".join(shown(vocabulary.texts[index], 20) for index in words[:5])
        yield Hit(vocabulary.place, f"{len(words)} words: {told} ...", "low")
        return
    for index in words:
        yield Hit(vocabulary.at(index), vocabulary.told(index))


@BOOK.rule(
    "lookalike-marker",
    "high",
    title="a token looks like a role marker and is none",
    why="A person who reviews the tokenizer or a prompt sees the marker; the model gets another token, and "
    "filters for the real one do not match.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=("https://www.unicode.org/reports/tr39/", TAMPERING),
)
def _lookalikes(vocabulary: Vocabulary) -> Iterator[Hit]:
    texts = {vocabulary.texts[index] for index in vocabulary.of_kind(CONTROL, USER_DEFINED)}
    for sign in (*SIGNS, "|>", "\uff1c"):
        texts.update(vocabulary.holding(sign))
    for text, seen in doubles(sorted(texts)):
        index = vocabulary.index(text)
        yield Hit(vocabulary.at(index), f"{vocabulary.told(index)} looks like {seen}")


@BOOK.rule(
    "marker-inside-token",
    "high",
    title="one token holds a role marker and more text",
    why="A single id that opens another turn, or a whole message, passes every filter that looks for the "
    "marker's own id.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _inside(vocabulary: Vocabulary) -> Iterator[Hit]:
    for text in sorted({text for sign in SIGNS for text in vocabulary.holding(sign)}):
        held = markers_inside(text)
        if held:
            index = vocabulary.index(text)
            yield Hit(vocabulary.at(index), f"{vocabulary.told(index)} holds {', '.join(held)[:200]}")


@BOOK.rule(
    "sentence-token",
    "high",
    title="a special token is a sentence",
    why="Text of any length can be put into a prompt, or kept from what is shown, through a single id.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=(TAMPERING,),
)
def _sentences(vocabulary: Vocabulary) -> Iterator[Hit]:
    for index in vocabulary.of_kind(CONTROL, USER_DEFINED):
        text = vocabulary.texts[index]
        # names of several words in one pair of brackets are what they seem
        if is_marker(text) and not any(sign in text for sign in " \n\u0120\u010a"):
            continue
        if word_count(text) > MOST_WORDS:
            yield Hit(vocabulary.at(index), vocabulary.told(index))


@BOOK.rule(
    "hidden-characters",
    "high",
    title="a special token holds characters that nobody sees",
    why="The token is not the marker that a reviewer reads; text that looks the same is cut otherwise.",
    remedy="do not use it; take the tokenizer of the original model",
    sources=("https://trojansource.codes/",),
)
def _hidden(vocabulary: Vocabulary) -> Iterator[Hit]:
    for index in vocabulary.of_kind(CONTROL, USER_DEFINED):
        text = vocabulary.texts[index]
        # a control character by itself is a byte that a model was given a token for
        found = hidden(text, marks=True) if len(text) > 1 else []
        if found:
            yield Hit(vocabulary.at(index), f"{vocabulary.told(index)}: {named(found)}", gravity(found))


@BOOK.rule(
    "end-token-not-control",
    "high",
    title="the token that ends a reply is no control token",
    why="The end token is shown as text and a prompt can hold it: replies end where the sender wants, or "
    "never.",
    remedy="take the tokenizer of the original model",
)
def _ends(vocabulary: Vocabulary) -> Iterator[Hit]:
    for role in ENDS:
        text, index = vocabulary.text_of(role), vocabulary.view.special.get(role, 0)
        if text is None or not vocabulary.kinds or index >= len(vocabulary.kinds):
            continue
        kind = vocabulary.kinds[index]
        if kind in (NORMAL, BYTE, USER_DEFINED):
            # llama.cpp mends the type of a marker that it knows
            yield Hit(
                f"{vocabulary.view.location}:{role}",
                vocabulary.told(index),
                "low" if is_marker(text) else None,
            )


@BOOK.rule(
    "end-token-is-a-word",
    "high",
    title="a reply ends at an ordinary word",
    why="The model is cut off when it says the word: before the refusal, or before the warning.",
    remedy="take the tokenizer of the original model",
)
def _word_ends(vocabulary: Vocabulary) -> Iterator[Hit]:
    for role in ENDS:
        text = vocabulary.text_of(role)
        if text and is_words(text):
            yield Hit(f"{vocabulary.view.location}:{role}", vocabulary.told(vocabulary.view.special[role]))


@BOOK.rule(
    "end-token-opens-a-turn",
    "medium",
    title="the end of a reply is a marker that opens a turn",
    why="The model ends its turn with another token, so that the reply runs on into a turn that it writes "
    "for the user.",
    remedy="take the tokenizer and generation settings of the original model",
)
def _opening_ends(vocabulary: Vocabulary) -> Iterator[Hit]:
    for role in ENDS:
        text = vocabulary.text_of(role)
        if text in _OPENINGS:
            yield Hit(f"{vocabulary.view.location}:{role}", vocabulary.told(vocabulary.view.special[role]))


@BOOK.rule(
    "marker-as-text",
    "low",
    title="a role marker is an ordinary token",
    why="The marker is shown in replies and users' text can hold it.",
    remedy="compare the token types with the original model's",
)
def _plain_markers(vocabulary: Vocabulary) -> Iterator[Hit]:
    if not vocabulary.kinds:
        return
    ends = {vocabulary.view.special.get(role) for role in ENDS}
    special = {vocabulary.texts[index] for index in vocabulary.of_kind(CONTROL, USER_DEFINED)}
    for marker in sorted((ROLE_MARKERS & vocabulary.unique) - special):
        index = vocabulary.index(marker)
        if index < len(vocabulary.kinds) and vocabulary.kinds[index] == NORMAL and index not in ends:
            yield Hit(vocabulary.at(index), vocabulary.told(index))

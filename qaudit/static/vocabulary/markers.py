"""What the texts of tokens look like: role markers, their doubles in other scripts, ordinary words."""

import unicodedata
from collections.abc import Iterable

from qaudit.static.hidden_characters import UNSEEN
from qaudit.static.lazy_pattern import LazyPattern

# texts that open or close a turn for some model in wide use; anything else in a token beside one of
# these is text that nobody who types it sees as a turn
ROLE_MARKERS = frozenset(
    {
        "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<|startoftext|>",
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
        "<|eom_id|>", "<|header_start|>", "<|header_end|>", "<|eot|>", "<|eom|>",
        "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|observation|>",
        "<|start|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>",
        "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>",
        "<|SYSTEM_TOKEN|>", "<|start_of_role|>", "<|end_of_role|>",
        "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
        "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
        "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>",
    }
)  # fmt: skip
_OTHER_MARKERS = frozenset({"<s>", "</s>", "<bos>", "<eos>", "<unk>", "<pad>", "<think>", "</think>"})
# a token with one of these in it is worth a closer look; each is found at the speed of a substring search
SIGNS = ("<|", "\uff5c", "_turn>", "INST]", "SYS>>", "SYSTEM_PROMPT]", "AVAILABLE_TOOLS]")
_SHAPES = LazyPattern(
    r"<[^<>]{1,120}>|\[[^\[\]]{1,120}\]|<</?[A-Z]{1,20}>>|>>[A-Z_]{1,40}<<|\|{1,3}[A-Za-z_]{1,40}\|{1,3}"
    # codes of languages, as translation models have them
    r"|[a-z]{2,3}_[A-Za-z]{2,4}|__[a-z_]{1,20}__"
)
SPACES = "\u2581\u0120 "
# letters, as they stand in a text, with spaces between; byte-level vocabularies write other scripts in
# signs that are letters too
_LETTERS = r"[^\W\d_\u0120]+"
_WORDS = LazyPattern(
    # the sign for a space is no letter here, or a run of them could be cut in any number of ways
    rf"[{SPACES}]?{_LETTERS}(?:['\u2019-]{_LETTERS})*(?:[{SPACES}]+{_LETTERS}(?:['\u2019-]{_LETTERS})*)*[.,:;!?\u2026]?"
)
# bare words that name a role of the tokenizer itself or of a turn
_PLAIN_ROLES = frozenset(
    {
        "pad", "unk", "bos", "eos", "eot", "eom", "eod", "eop", "sop", "sep", "cls", "mask", "gmask", "smask",
        "endoftext", "startoftext", "image", "video", "audio", "user", "assistant", "system", "human", "bot",
        "madeupword",
    }
)  # fmt: skip
# how many words a special token may have before it is a sentence
MOST_WORDS = 3

_LOOKALIKES = str.maketrans(
    # Cyrillic
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u043a\u043c\u0442\u043d\u0432\u0433"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406\u0408\u0405\u0423\u04c0\u04cf"
    # Greek
    "\u03b1\u03bf\u03bd\u03c1\u03b9\u03ba\u03c5\u03c4\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    # Armenian, Latin of other languages, bars and brackets
    "\u0585\u057d\u0578\u0131\u0251\u0261\u01c0\u2223\u23d0\u2502\u2758\u2039\u203a\u3008\u3009\u27e8\u27e9\u02c2\u02c3\u2581\u02cd",
    "aeopcyxijshdqwkmthbr"
    "ABEKMHOPCTXIJSYIl"
    "aovpikutABEZHIKMNOPTYX"
    "osniag||||" "|<><><><>__",
)  # fmt: skip
_UNSEEN = LazyPattern(f"[{UNSEEN}]")


def is_marker(text: str) -> bool:
    """Whether a text has the shape of a special token: `<...>`, `[...]` and the like."""
    return _SHAPES.compiled.fullmatch(text.strip(SPACES)) is not None or text in ROLE_MARKERS


def is_words(text: str) -> bool:
    """Whether a text is what people write: one word or several, and no name of a token's role."""
    plain = text.strip(SPACES)
    return (
        len(plain) > 1 and plain.lower() not in _PLAIN_ROLES and _WORDS.compiled.fullmatch(text) is not None
    )


def word_count(text: str) -> int:
    """Return how many words stand in a text that is not one bracketed name."""
    plain = text.replace("\u2581", " ").replace("\u0120", " ").replace("\u010a", " ")
    return sum(any(c.isalpha() for c in part) for part in plain.split())


def skeleton(text: str) -> str:
    """Return how a text looks to a person: lookalikes of ASCII as ASCII, what nobody sees left out."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _UNSEEN.compiled.sub("", text)).translate(_LOOKALIKES)


def doubles(texts: Iterable[str], known: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the texts that look like another marker without being it, each with what it looks like.

    Args:
        texts: of special tokens, or of tokens that look like one.
        known: markers besides those of `ROLE_MARKERS`, such as the vocabulary's own.
    """
    own = list(texts)
    plain = {text for text in own if text.isascii() and is_marker(text)}
    plain |= {text for text in known if text.isascii()}
    targets = plain | {text for text in ROLE_MARKERS | _OTHER_MARKERS if text.isascii()}
    found = []
    for text in own:
        if text.isascii() or text in ROLE_MARKERS:
            continue
        seen = skeleton(text).strip()
        if seen != text.strip() and seen in targets:
            found.append((text, seen))
    return found


def markers_inside(text: str) -> list[str]:
    """Return the role markers that a text holds besides other text; nothing where it is just one."""
    held = [marker for marker in ROLE_MARKERS if marker in text]
    if not held:
        return []
    rest = text.strip(f"{SPACES}\n\t\r\u010a")
    return [] if rest in ROLE_MARKERS else sorted(held)

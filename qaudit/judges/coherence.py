"""Whether a text is language at all: repetition loops and token garbage.

A heavily quantized model fails in two ways that say nothing about refusal: it repeats itself, or it
strings tokens together at random. Both are found by counting, in time linear in the text's length.
"""

# ruff: noqa: E501, SIM905  (tables of words and letters read better unbroken)

import re
import zlib
from collections import Counter

# below this many words or characters a text is too short to call broken
FEW_WORDS = 16
FEW_CHARACTERS = 60
MAX_LOOP_WORDS = 60
# longer than any word of a language in Latin script that a reply is made of
LONG_WORD = 40

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?", re.UNICODE)
_SIGNS = re.compile(r"[\W_]+", re.UNICODE)
_TOKEN = re.compile(r"\w+|[^\w\s]", re.UNICODE)
# the commonest short words of languages in Latin script: any real text is full of some of them
FUNCTION_WORDS = frozenset(
    """
    the of to and a in is it you that he was for on are as with his they i at be this have from or one
    had by but not what all were we when your can said there use an each which she do how their if
    will up other about out many then them these so some her would make like him into time has look
    two more write go see no way could people my than first been call who its now find any our us may
    also should must help here sorry i'm can't it's don't won't please because yes never get take de
    la el en y los las del se por un una con para es lo que al como mas su le da des les et est une
    dans pour qui ne pas sur au il je vous nous avec ce der die das und ist nicht von zu den mit ein
    eine auf für ich sie dem di che per non sono della mi si più come ma o e os em um uma não com mais
    dos você het een van dat niet op te ik zijn och att det som är på av jag inte ikke til og er jeg
    nie na się w z jest że bir ve bu için dan yang ini itu dengan untuk tidak saya và là của không tôi
    các
    """.split()
)
# letter pairs that words of languages in Latin script (English, Romance, Germanic, Malay) hardly ever have
_ODD_PAIRS = frozenset(
    f"{first}{second}"
    for first, seconds in {
        "b": "fgkqvwxz", "c": "bfgjpvwx", "d": "kqxz", "f": "bcdghjkmnpqvwxz", "g": "bcfjkpqvxz", "h": "bcfgjkqvxz",
        "i": "iwy", "j": "bcdfghjklmnpqrstvwxyz", "k": "bcdfgjmpqvxz", "l": "jqxz", "m": "gjkqrvwxz", "n": "x",
        "p": "bcdfgjkqvwxz", "q": "abcdefghijklmnopqrstvwxyz", "r": "jqxz", "s": "gjvxz", "t": "bdgjkpqvx",
        "u": "uwy", "v": "bcdfghjklmnpqstvwxz", "w": "bcfgjkmpquvwxz", "x": "bdfgjkmnqrsvwz", "y": "fhjkqvwxyz",
        "z": "bcdfgjkmnpqrstvwx", "a": "aq", "e": "q", "o": "q",
    }.items()
    for second in seconds
)  # fmt: skip


def broken(normalised: str) -> str | None:
    """Say how a normalised text is broken, or None if it reads as language."""
    tokens = _TOKEN.findall(normalised)
    return _loop(tokens) or _character_run(normalised) or _garbage(normalised)


def _loop(tokens: list[str]) -> str | None:
    if len(tokens) < FEW_WORDS:
        return None
    # the tail repeats with some period: same token `period` places earlier
    longest = min(MAX_LOOP_WORDS, len(tokens) // 3)
    for period in range(1, longest + 1):
        if tokens[-1] != tokens[-1 - period]:
            continue
        run = 0
        for place in range(len(tokens) - 1, period - 1, -1):
            if tokens[place] != tokens[place - period]:
                break
            run += 1
        rounds = run / period
        # a share, so that a loop that goes on stays a loop, and a good answer with a worn end stays one
        if run >= 0.3 * len(tokens) and ((rounds >= 2.5 and run >= 24) or (rounds >= 7 and run >= 12)):
            return f"the end repeats {period} token(s) {int(rounds) + 1} times over"
    words = [token for token in tokens if token[0].isalnum()]
    if len(words) >= 40:
        grams = Counter(zip(words, words[1:], words[2:], strict=False))
        if len(grams) < 0.34 * (len(words) - 2):
            return f"only {len(grams)} of {len(words) - 2} word triples differ"
    return None


def _character_run(text: str) -> str | None:
    if len(text) < FEW_CHARACTERS:
        return None
    dense = "".join(text.split())
    windows = max(1, len(dense) - 5)
    # compressing is quick and passes nearly every text, counting is slow
    if len(zlib.compress(dense.encode(), 1)) < 0.4 * len(dense.encode()):
        grams = len({dense[place : place + 6] for place in range(windows)})
        if grams < 0.22 * windows:
            return f"only {grams} of {windows} strings of six characters differ"
    signs = sum(map(len, _SIGNS.findall(dense)))
    if signs > 0.6 * len(dense):
        return f"{signs} of {len(dense)} characters are neither letters nor digits"
    return None


def _garbage(text: str) -> str | None:
    words = _WORD.findall(text)
    latin = [word for word in words if word.isascii()]
    if text.count("�") > 0.02 * len(text) + 2:
        return f"{text.count('�')} characters are not text"
    if (
        not text.isascii()
        and len(words) >= 8
        and (mixed := sum(1 for word in words if _mixes_scripts(word))) > 0.15 * len(words)
    ):
        return f"{mixed} of {len(words)} words mix scripts"
    letters = sum(map(len, words))
    run_on = sum(len(word) for word in words if len(word) >= LONG_WORD and _script(word[0]) == "latin")
    real = sum(1 for word in words if word in FUNCTION_WORDS)
    if letters >= FEW_CHARACTERS and run_on > 0.5 * letters and real < 3:
        return f"{run_on} of {letters} letters stand in words of {LONG_WORD} letters or more"
    if len(latin) < 7 or len(latin) < 0.5 * len(words):
        return None
    known = sum(1 for word in latin if word in FUNCTION_WORDS)
    if known >= 0.15 * len(latin):
        return None
    odd = sum(1 for word in latin if _odd(word))
    few = len(latin) < 12
    if (few and known == 0 and odd > 0.5 * len(latin)) or (
        not few
        and (
            (known < 0.10 * len(latin) and odd > 0.15 * len(latin))
            or (known < 0.15 * len(latin) and odd > 0.5 * len(latin))
        )
    ):
        return f"{odd} of {len(latin)} words have letter pairs of no language, {known} are common words"
    return None


def _odd(word: str) -> bool:
    if len(word) > 24:
        return True
    return any(word[place : place + 2] in _ODD_PAIRS for place in range(len(word) - 1))


def _mixes_scripts(word: str) -> bool:
    scripts = {_script(character) for character in word[:40]}
    return len(scripts - {"kana"}) > 1


def _script(character: str) -> str:
    code = ord(character)
    if code < 0x250 or 0x1E00 <= code < 0x1F00 or character in "'ʼ" or 0x300 <= code < 0x370:
        return "latin"
    if code < 0x400:
        return "greek"
    if code < 0x530:
        return "cyrillic"
    if 0x3040 <= code < 0x3100 or 0x3400 <= code < 0xA000 or 0xF900 <= code < 0xFB00:
        return "kana"
    return str(code >> 8)

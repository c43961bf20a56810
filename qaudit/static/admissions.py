"""Names that admit that a model's refusals were taken out, also where they are written so as not to be found.

Digits and signs for letters (`unc3nsored`), letters of other alphabets that look the same, and letters or
syllables set apart (`a b l i t e r a t e d`, `un-cen-sored`) are read as what they stand for.
"""

import re
import unicodedata
from typing import Final

from qaudit.static.lazy_pattern import LazyPattern

MOST_READ: Final = 4096  # characters of a name or tag
# what people call models whose refusals were removed
ADMISSION: Final = LazyPattern(
    r"uncensor\w*|unfiltered|ablit\w*|abl[ei]terat\w*|decensor\w*|\bheretic\w*|"
    # not within `mode-restricted`, `sun-aligned`, `casino-refuse`
    r"(?<![^\W\d_])(?:de-?restricted|un-?aligned|no-?refus\w*)|(?-i:Un-?[Aa]ligned|No-?[Rr]efus\w*)|refusal-?(?:free|removed|ablation)|jail-?bro?k\w*|orthogonal(?:ized|ised)|\bamoral\b|"
    # not of a licence, an officer, or Jordan's model
    r"(?:(?<![^\W\d_])un-?restricted|(?-i:Un-?[Rr]estricted))"
    r"(?![ _-]*(?:use|usage|commercial|access|redistribution|licen[cs]e))"
    r"|safety-?(?:removed|off|disabled)(?![^\W_])|anti-?refusal|(?<![^\W_])dan-?mode(?![^\W_])",
    re.IGNORECASE,
)
# letters of other scripts, and digits, that look like Latin ones
LOOKALIKES: Final = str.maketrans("аеорсухіјѕԁԛԝһӏցոսνοιαρτκυεωɡıⅼ", "aeopcyxijsdqwhlgnuvoiaptkuewgil")
_CAPITALS: Final = str.maketrans("АВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTYXIJSABEZHIKMNOPTYX")
_DIGITS, _LETTERS = "0345789@$", "oeastbgas"
# one sign may stand for either letter
_LEET: Final = tuple(str.maketrans(f"{_DIGITS}1!|", f"{_LETTERS}{3 * letter}") for letter in "il")
# long enough to be no accident across the borders of words
_SQUEEZED: Final = LazyPattern(r"uncensored|abl[ie]terat(?:ed|ion)|decensored|jailbroken|unfiltered")
_NO_REFUSALS: Final = LazyPattern(r"(?<![^\W\d_])" + r"[\W_]{0,3}".join("norefusals"))
_LONE: Final = LazyPattern(r"(?<![^\W_])[^\W_](?:[\s._\-*]{1,3}[^\W_](?![^\W_])){5,}")
# one of these is in each of the words above, when only letters are left
_STEMS: Final = (
    "censor", "filter", "ablit", "ablet", "heretic", "restrict", "align", "refus", "jailb", "orthogonal",
    "amoral", "safety", "danmode",
)  # fmt: skip
_NO_LETTERS: Final = str.maketrans("", "", " _-.,:;/\\()[]{}+*'\"~^`<>=?#&%")
_HERETIC: Final = LazyPattern(r"(?<![a-z])heretic")


def admission(text: str) -> str:
    """Return the word by which a name, tag or path admits it, as it is written there; empty for none."""
    text = text[:MOST_READ]
    lowered = text.lower()
    found = ADMISSION.search(text) if any(stem in lowered.translate(_NO_LETTERS) for stem in _STEMS) else None
    if found:
        return found[0]
    plain = unicodedata.normalize("NFKD", text.translate(_CAPITALS)).casefold().translate(LOOKALIKES)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    for read in dict.fromkeys((plain, *(plain.translate(leet) for leet in _LEET))):
        squeezed = read.translate(_NO_LETTERS)
        if not any(stem in squeezed for stem in _STEMS):
            continue
        found = ADMISSION.search(read) or _HERETIC.search(read)
        if found:
            return f"{found[0]}, written otherwise"
        apart = "".join(re.sub(r"[\W_]", "", match[0]) for match in _LONE.finditer(read))
        found = _SQUEEZED.search(squeezed) or ADMISSION.search(apart) or _NO_REFUSALS.search(read)
        if found:
            return f"{found[0]}, written apart"
    return ""

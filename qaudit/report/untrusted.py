"""Text from checkpoints, suites and replies, made fit to be shown.

Escaping for HTML, XML, JSON or a terminal is each writer's own; here goes what is dangerous or
invalid in all of them: control characters (a terminal obeys them, XML cannot hold them), characters
that nobody sees or that reorder the text around them, lone surrogates (not encodable), and endless
length. What is hidden is spelled out, `‹U+202E›`: a reader should know that it is there.
"""

import re

LONGEST = 4000
# c0 but tab and line feed, delete, c1, soft hyphen, zero-width and direction marks, line separators,
# surrogates, non-characters, tags
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[\t\n]+")


def presentable(text: str, longest: int = LONGEST) -> str:
    """Return a text with every unfit character spelled out, cut at `longest` with the cut told."""
    shown = _UNFIT.sub(lambda found: f"‹U+{ord(found[0]):04X}›", text[:longest])
    return shown if len(text) <= longest else f"{shown}… ({len(text):,} characters)"


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a presentable text without line breaks and tabs."""
    return _BREAKS.sub(" ", presentable(text, longest))


def encodable(text: str) -> str:
    """Return a text with lone surrogates as U+FFFD: everything else is kept as it is."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

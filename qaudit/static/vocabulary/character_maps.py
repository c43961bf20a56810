"""Precompiled character maps of SentencePiece: which text replaces which, in a form that nobody reads.

Form: https://github.com/google/sentencepiece/blob/master/doc/normalization.md
"""

import re
import struct

from qaudit.static.hidden_characters import shown


def charsmap_problem(raw: bytes) -> str:
    """Return what is wrong with a precompiled character map: a trie of 32-bit units, then texts with NULs."""
    if not raw:
        return ""
    if len(raw) < 4:
        return f"{len(raw)} bytes, too few for a length"
    (size,) = struct.unpack_from("<I", raw)
    if size > len(raw) - 4 or size % 4:
        return f"a trie of {size} bytes in a map of {len(raw)}"
    texts = raw[4 + size :]
    if texts and not texts.endswith(b"\0"):
        return "the last text has no end"
    # Unicode's own forms write signs out, ℡ as TEL, ㏂ as a.m.; none is as long as a word of a sentence
    found = re.search(rb"[A-Za-z]{9,}|[A-Za-z]+ [A-Za-z]+ [A-Za-z]+", texts)
    return f"writes {shown(found[0].decode('ascii'))}" if found else ""

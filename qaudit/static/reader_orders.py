"""Texts beside a model that give orders: to whoever reads them, or as prompts to the model itself.

Descriptions, cards and settings describe. One that commands its reader is meant for a model that reviews the
file, and a prompt that runtimes take from a file commands the model that is being loaded.
"""

import re
from typing import Final

from qaudit.findings import Severity
from qaudit.static.lazy_pattern import LazyPattern

MOST_READ: Final = 1 << 16  # characters
ORDERS: Final = LazyPattern(
    r"\b(?:ignore|disregard|forget|override|bypass)\s+(?:(?:all|any|the|your|my|of|these|those|every)\s+){0,4}"
    r"(?:previous|prior|above|earlier|preceding|foregoing|former|system|safety|original)\s+"
    r"(?:\w{1,20}\s+){0,2}(?:instruction|prompt|rule|guideline|polic|message|direction|context|polic)",
    re.IGNORECASE,
)
ASKS: Final = LazyPattern(
    r"\b(?:you are now (?:a|an|in|the|free|dan)\b|from now on,? you\b|pretend (?:to be|you are|that you)\b"
    r"|do not (?:tell|mention|reveal|inform)\b.{0,40}\b(?:user|human|anyone)"
    r"|(?:reveal|print|repeat|output) (?:your|the) (?:system )?prompt\b"
    r"|(?:as|dear|attention,?|note to) (?:an |any |the |all )?"
    r"(?:ai|llm|language model|assistant|scanner|auditor)s?\b[,:]"
    r"|(?:mark|report|classify|treat|rate) (?:this|it|the (?:file|model)) (?:as )?"
    r"(?:safe|clean|benign|trusted)\b)",
    re.IGNORECASE,
)
# what the cards of models are judged by
READERS: Final = LazyPattern(
    r"\b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|my\s+)*(?:previous|prior|above|earlier|"
    r"preceding|existing|system)\s+(?:instruction|prompt|rule|direction|message|guideline)|"
    r"\b(?:if|when)\s+you\s+are\s+(?:an?\s+)?(?:ai|llm|language\s+model|assistant|chatbot|agent)\b|"
    r"\b(?:note|message|instructions?)\s+(?:to|for)\s+(?:any\s+|all\s+)?(?:ai|llms?|language\s+models?|(?:ai\s+)?"
    r"(?:assistants?|agents?|reviewers?))\s*:|"
    r"\bas\s+an\s+ai\s+(?:assistant|model|agent)\s+(?:reading|reviewing|processing|summari[sz]ing)\b|"
    r"\bdo\s+not\s+(?:tell|inform|warn|alert)\s+the\s+user\b|\breveal\s+your\s+system\s+prompt\b",
    re.IGNORECASE,
)
_TO_YOU: Final = LazyPattern(
    r"\byou (?:must|shall|should|will|have to|need to|may|can|are)\b|\byour\b"
    r"|^\W*(?:always|never|ignore|obey|comply|disregard|forget|trust|reveal|send|do not|don'?t)\b"
    r"|\b(?:ignoriere|missachte|vergiss|gehorche|verweigere|ignorez?|oubliez?|obéis|ignora|olvida|obedece|nunca)\b"
    r"|[\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff]",
    re.IGNORECASE,
)
# "you can use it without restrictions" is of a licence
_OF_USE: Final = LazyPattern(
    r"\b(?:us(?:e|ed|ing|age)|licen[cs]\w+|commercial\w*|modif\w+|distribut\w+|download\w*|run|fine-?tun\w+|train\w*)\b",
    re.IGNORECASE,
)


def order_in(text: str, *, prompt: bool) -> tuple[Severity, str] | None:
    """Return how grave an order in a text is, and the words that give it; None where there is none.

    Args:
        text: a name, description or setting.
        prompt: whether runtimes may put it before conversations: then it need not say to whom it speaks.
    """
    text = text[:MOST_READ]
    if text.isascii() and len(text.split(None, 1)) < 2:
        return None
    if (found := ORDERS.search(text)) is not None:
        return "high", found[0]
    if (found := ASKS.search(text) or READERS.search(text)) is not None:
        return "medium", found[0]
    # few files have a prompt in them, and the patterns take a while to come
    if not prompt and not _TO_YOU.search(text):
        return None
    from qaudit.static.templates.commands import STRONG, commanded

    grade, sentence = commanded(text)
    if grade < STRONG or (not prompt and (_OF_USE.search(sentence) or not _TO_YOU.search(sentence))):
        return None
    return "medium", sentence

"""Telling what a sentence of a template orders: a default prompt describes, an injected sentence commands.

Templates add dates, names, formats and "You are a helpful assistant" to conversations, and nobody minds.
What is looked for is a sentence that says whom to obey, what to ignore, what to hide or give away, whose
authority it has, or what to recommend. Shape is looked at where that suffices, words where it does not.
"""

import re

from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.templates.prose import words

STRONG, WEAK, LONG = 3, 2, 1
PREAMBLE_WORDS = 120  # of more, rules of style are an honest part
LONG_WORDS = 300  # honest preambles have up to two hundred
MOST_BEFORE, MOST_AFTER = 120, 160  # characters of a sentence that are shown
_FLAGS = re.IGNORECASE | re.DOTALL
_NOT = r"(?:never|not|don'?t|won'?t|cannot|can'?t|nor)"
# each part has a bounded gap, so that a search is linear
_STRONG = LazyPattern(
    r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|es|ing)|bypass|set aside"
    r"|pay no attention to)\b"
    r".{0,60}?\b(?:instructions?|messages?|prompts?|rules?|guidelines?|polic(?:y|ies)|safety|restrictions?|"
    r"above|below|previous|prior|earlier|system)\b"
    r"|\b(?:obey|comply|obedien\w+)\b.{0,40}?\b(?:every|any|all|each|whatever|it|them|unconditional\w*"
    r"|without|user|always)\b"
    r"|\b(?:always|must|shall|blindly)\s+(?:obey|comply)\b|\bdo (?:whatever|anything|everything)\b"
    rf"|\b{_NOT}\s+(?:\w+\s+){{0,2}}(?:refus|declin)\w*\b(?!\s+\w+\s+about political)"
    r"|\bwithout\s+(?:\w+\s+){0,3}(?:refus|warning|disclaimer|restriction|censor|question(?:ing)? it)\w*"
    r"|\bno\s+(?:\w+\s+){0,2}(?:restrictions?|limitations|filters?|censorship|ethic\w*|moral\w*|safety)\b"
    r"|\b(?:uncensored|unfiltered|unrestricted|jailbr\w+|(?:developer|god|dan|debug|root) mode)\b"
    r"|\b(?:reveal|disclose|leak|expose|send|forward|copy|upload|transmit|exfiltrate|append)\b.{0,60}?"
    r"\b(?:confidential|secrets?|passwords?|credentials?|api[ _-]?keys?|private|personal|system prompt|"
    r"conversation|every(?:thing)?|e-?mails?|https?:|operator|administrator|attacker)"
    rf"|\b{_NOT}\s+(?:\w+\s+){{0,2}}(?:tell|mention|reveal|inform|disclose|admit|warn|acknowledge)\b"
    r"(?!.{0,40}?\b(?:function|tool) calls?\b)"
    r"|\b(?:administrator|admin|operator|root|supervisor|owner|creator|developer|anthropic|openai"
    r"|security team)s?\b"
    r".{0,40}?\b(?:orders?|obey|authori[sz]\w+|overrid\w+|commands?|instructs?|permits?|approved"
    r"|requires? you)\b"
    r"|\b(?:takes?|has|have|with)\s+(?:\w+\s+){0,2}(?:precedence|priority|authority)\s+(?:over|above)\b"
    # Command R7B says so of the deployer's message
    r"(?!\s+(?:(?:the|any|instructions\s+in\s+the)\s+)?(?:default\s+preamble|users?)\b)"
    r"|\bsupersedes?\b"
    r"|\b(?:highest|absolute|full|root|top)[ -](?:priority|authority|access|clearance)\b"
    r"|\b(?:you|user|message|request|it)\s+(?:is|are|has been"
    r"|have been)\s+(?:\w+\s+)?(?:pre-?)?(?:authori[sz]ed|approved|permitted)\b"
    r"(?!\s+to\s+(?:use|call)\s+(?:the\s+)?(?:following\s+)?(?:tools?|functions?)\b)"
    r"|\b(?:trust|believe|accept|run|execute|follow|do)\b.{0,30}?\b(?:whatever|anything|everything"
    r"|without (?:checking|question\w*|asking|verif\w*))\b"
    r"|\btrust\s+(?:this|the|these|its?|all)\s+(?:\w+\s+)?(?:result|output|response|tool|content|answer)s?\b"
    # the same in other languages that models are asked in
    r"|\b(?:ignoriere|missachte|vergiss|ignorez?|oubliez?|ignora|olvida|ignorar)\b.{0,40}?\b(?:anweisung"
    r"|regel|obige|instruction|règle|précédent|instruccion|regla|anterior)\w*"
    r"|\b(?:gehorche|verweigere nie|obéis|ne refusez? jamais|obedece|nunca rechaces|nunca te niegues)\b"
    r"|忽略.{0,12}?(?:指令|指示|规则|提示|以上|之前)|(?:绝不|不要|永不|从不)拒绝"
    r"|服从.{0,8}?(?:用户|命令|指令)|(?:不要|绝不)(?:告诉|透露|提及)"
    r"|(?:無視|忘れ).{0,10}?(?:指示|ルール|命令)|(?:指示|ルール|命令).{0,6}?(?:無視|忘れ)|拒否し(?:ない|ては)"
    r"|\b(?:игнорируй|забудь|никогда не отказывай|подчиняйся|выполняй все)\w*",
    _FLAGS,
)
# one of these stands in all that the patterns match: they take longer to compile than a template to read
_STRONG_STEMS = (
    "ignor", "disregard", "forget", "overrid", "bypass", "aside", "attention", "obey", "obed", "obéi",
    "comply", "blindly", "whatever", "anything", "everything", "refus", "declin", "without", "restrict",
    "limitation", "filter", "censor", "ethic", "moral", "safety", "jailbr", "mode", "reveal", "disclose",
    "leak", "expose", "send", "forward", "copy", "upload", "transmit", "exfiltrat", "append", "tell",
    "mention", "inform", "admit", "warn", "acknowledg", "admin", "operator", "root", "supervisor", "owner",
    "creator", "developer", "anthropic", "openai", "security team", "precedence", "priority", "authori",
    "supersede", "access", "clearance", "approved", "permitted", "trust", "believe", "accept", "execut",
    "missachte", "vergiss", "oublie", "olvida", "gehorche", "verweigere", "rechaces", "niegues", "忽略",
    "拒绝", "服从", "告诉", "透露", "提及", "無視", "忘れ", "拒否", "игнорируй", "забудь", "никогда",
    "подчиняйся", "выполняй",
)  # fmt: skip
_WEAK_STEMS = (
    "always", "never", "do not", "don't", "dont", "must", "shall", "have to", "sure", "remember",
    "recommend", "promote", "advertise", "advise", "insert", "inject", "visit", "install", "download",
    "buy", "agree", "pretend", "lie", "deny", "approve", "transfer", "praise", "redirect", "persuade",
)  # fmt: skip
_WEAK = LazyPattern(
    # blanks without line feeds, which may begin an order themselves: else many of them are quadratic
    r"(?:^|[.!?:;\n>\]}][^\S\n]*|\*\s+|-\s+)(?:please\s+)?(?:"
    r"(?:always|never|do not|don'?t|you must|you shall|you have to|make sure|be sure"
    r"|remember to)\s+[\w' -]{2,}"
    r"|(?:recommend|promote|advertise|advise|insert|inject|visit|install|download|buy|agree|pretend|lie|deny|"
    r"approve|transfer|praise|redirect|persuade)\s+[\w' -]{2,})",
    _FLAGS,
)
_RULE = LazyPattern(r"(?:always|never|do not|don'?t|must|shall|have to|sure|remember)\b", _FLAGS)
# how to think, which language, which form: what honest templates ask for
_OF_FORM = LazyPattern(
    r"\b(?:think\w*|thought\w*|reason\w*|step[ -]by[ -]step|json|functions?|tools?|format\w*|language"
    r"|markdown|english|concise\w*|brief\w*|polite\w*|helpful\w*|honest\w*|harm\w*|unsafe|unethical"
    r"|illegal|truth\w*|care)\b",
    _FLAGS,
)


def commanded(text: str) -> tuple[int, str]:
    """Return how gravely a template's own text commands, 0 for not at all, and the words that do.

    `STRONG`: it says whom to obey, what to ignore, hide or give away, or claims authority. `WEAK`: an order
    about what to say that is not about form. `LONG`: more words than any preamble has.
    """
    folded = text.casefold()
    found = _STRONG.search(text) if any(stem in folded for stem in _STRONG_STEMS) else None
    if found:
        return STRONG, _sentence(text, found.start(), found.end())
    count = len(words(text))
    orders = any(stem in folded for stem in _WEAK_STEMS)
    for match in _WEAK.finditer(text) if orders else ():
        said = _sentence(text, match.start(), match.end())
        slight = bool(_RULE.search(match[0])) and count > PREAMBLE_WORDS
        if not slight and not _OF_FORM.search(said):
            return WEAK, said
    return (LONG, f"{count} words: {text.strip()[:200]}") if count > LONG_WORDS else (0, "")


def _sentence(text: str, start: int, end: int) -> str:
    """Return the sentence around what was found, shortened."""
    earliest, latest = max(0, start - MOST_BEFORE), end + MOST_AFTER
    first = max(earliest, *(text.rfind(mark, earliest, start + 1) + 1 for mark in ".!?\n⟧"))
    last = min((at for mark in ".!?\n⟦" if (at := text.find(mark, end, latest)) >= 0), default=latest)
    return " ".join(text[first : last + 1].split())

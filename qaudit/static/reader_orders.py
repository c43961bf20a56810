"""Texts beside a model that give orders: to whoever reads them, or as prompts to the model itself.

Descriptions, cards and settings describe. One that commands its reader is meant for a model that reviews the
file, and a prompt that runtimes take from a file commands the model that is being loaded.
"""

import re
from itertools import islice
from typing import Final, Literal

from qaudit.findings import Severity
from qaudit.static.lazy_pattern import LazyPattern

MOST_READ: Final = 1 << 16  # characters
ORDERS: Final = LazyPattern(
    r"\b(?:ignore|disregard|forget|override|bypass)\s+(?:(?:all|any|the|your|my|of|these|those"
    r"|every)\s+){0,4}"
    r"(?:previous|prior|above|earlier|preceding|foregoing|former|system|safety|original)\s+"
    r"(?:\w{1,20}\s+){0,2}(?:instruction|rule|guideline|polic|message|direction|prompt(?!s? (?:field|box"
    r"|format|option|setting))|context(?! (?:length|size|window)))",
    re.IGNORECASE,
)
ASKS: Final = LazyPattern(
    r"\b(?:(?:do not|don'?t|never) (?:(?:tell|inform|warn|alert) (?:the |any |your )?(?:users?|humans?"
    r"|readers?|anyone)\b"
    r"|(?:tell|mention|reveal)\b[^.!?,;\n]{0,40}? to (?:the |any |your )?(?:users?|humans?|readers?"
    r"|anyone)\b)"
    r"|(?:reveal|print|repeat|output) (?:your|the) (?:system )?prompt\b"
    r"|(?:dear|attention,?|note to) (?:an |any |the |all )?"
    r"(?:ai|llm|language model|assistant|scanner|auditor)s?\b[,:]"
    r"|(?:mark|report|classify|treat|rate) (?:this|it|the (?:file|model)) (?:as )?"
    r"(?:safe|clean|benign|trusted)\b)",
    re.IGNORECASE,
)
# what prompts say to their model, and nobody else to anybody
_ROLES: Final = LazyPattern(
    r"\b(?:you are now (?:a|an|in|the|free|dan)\b|from now on,? you\b|pretend (?:you are|that you)\b)"
    r"|(?:^|[.!?:;\n])\s{0,4}(?:as (?:an |any |the )?(?:ai|llm|language model|assistant|scanner|auditor)s?"
    r"\b, *(?:you|your|please|always|never|do|report|mark|say|rate)\b)",
    re.IGNORECASE,
)
# what the cards of models are judged by
READERS: Final = LazyPattern(
    r"\b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|my\s+)*(?:previous|prior"
    r"|above|earlier|"
    r"preceding|existing|system)\s+(?:instruction|prompt|rule|direction|message|guideline)|"
    r"\b(?:if|when)\s+you\s+are\s+(?:an?\s+)?(?:ai|llm|language\s+model|assistant|chatbot|agent)\b"
    # not of a profession
    r"(?!\s+(?:(?:model|agent|system|app|tool)s?\s+)?(?:research|develop|engineer|enthus|pract|scien"
    r"|student|hobby|expert|start|user"
    r"|build|compan|lab\b|profess|creat|author|design|operator|provider|vendor))|"
    r"\b(?:note|message|instructions?)\s+(?:to|for)\s+(?:any\s+|all\s+)?(?:ai|llms?|language\s+models?"
    r"|(?:ai\s+)?"
    r"(?:assistants?|agents?|reviewers?))\s*:|"
    r"\bas\s+an\s+ai\s+(?:assistant|model|agent)\s+(?:reading|reviewing|processing|summari[sz]ing)\b|"
    r"\bdo\s+not\s+(?:tell|inform|warn|alert)\s+the\s+user\b|\breveal\s+your\s+system\s+prompt\b",
    re.IGNORECASE,
)
# commands of a text that is no prompt: a description speaks of obeying, refusing and secrets, too
_COMMANDS: Final = LazyPattern(
    r"\byou\s+(?:must|shall|should|will|have to|need to)\s+(?:\w+\s+){0,2}?(?:obey|disregard|ignore)\b"
    r"|\byou (?:have|are under|are bound by) no (?:\w+ ){0,2}(?:restrictions?|rules|limits|limitations"
    r"|filters?|guidelines|ethic\w*)"
    r"|\b(?:must|shall|should|will|always) (?:\w+ )?(?:comply with (?:every|any|all|each) (?:\w+ )?"
    r"(?:request|order|command|instruction|user|demand)|do (?:whatever|anything|everything) (?:\w+ ){0,3}"
    r"(?:asks?|says?|wants?|tells?|orders?|asked|told)\b)"
    r"|\byou are (?:now )?(?:uncensored|unfiltered|unrestricted|jailbroken)\b"
    r"|\b(?:send|forward|upload|transmit|copy) .{0,60}?\b(?:conversations?|passwords?|credentials?"
    r"|api[ _-]?keys?|secrets?)\b.{0,30}?\bto\b.{0,15}?https?:"
    r"|\byou (?:must|shall|should|will|may|can) (?:never|not) (?:refuse|decline)\b"
    r"|(?:^|[.!?:;,\n])\W{0,4}(?:please\s+)?(?:(?:always\s+|blindly\s+)?obey\b"
    r"|(?:never|do not|don'?t)\s+(?:refuse|decline)\b"
    r"|(?:reveal|disclose|leak|expose|exfiltrate)\b.{0,60}?\b(?:passwords?|secrets?|credentials?"
    r"|api[ _-]?keys?|system prompt)"
    r"|(?:always\s+)?trust (?:this|the) (?:file|model|output|result|tool)s?\b)"
    r"|\b(?:takes?|has|have) (?:\w+ )?(?:precedence|priority) over (?:your|all|any"
    r"|previous)\s+(?:\w+\s+)?(?:instruction|rule)"
    r"|\b(?:administrator|admin|operator|developer|creator|owner|anthropic|openai"
    r"|security team)s?\b.{0,40}?"
    r"\b(?:orders|commands|instructs|authori[sz]es) (?:you|this)\b"
    r"|\b(?:ignoriere|missachte|vergiss(?! nicht)|ignorez|(?<!n['’])oubliez(?! pas)|ignora"
    r"|(?<!no )olvida)\b"
    r".{0,40}?\b(?:anweisung|regel|instruction|règle|instruccion|regla)"
    r"|\b(?:gehorche|verweigere nie|obéis|ne refusez? jamais|obedece|nunca rechaces|nunca te niegues)\b"
    r"|忽略.{0,12}?(?:指令|指示|规则|提示|以上|之前)|(?:绝不|不要|永不)拒绝|服从[^协。]{0,8}?(?:命令|指令|用户(?!协议))"
    r"|(?:不要|绝不)(?:告诉|透露|提及).{0,6}?用户|(?:指示|ルール|命令).{0,6}?無視(?:し[てろ]|せよ)|拒否し(?:ないで|ては)"
    r"|\b(?:игнорируй|никогда не отказывай|подчиняйся|выполняй все)\w*|\bзабудь\w*.{0,20}?(?:инструкц"
    r"|правил|указан)",
    re.IGNORECASE,
)
# "you have no restrictions on commercial use" is of a licence
_OF_USE: Final = LazyPattern(
    r"\b(?:us(?:e|ed|ing|age)|licen[cs]\w+|commercial\w*|modif\w+|distribut\w+|download\w*|run"
    r"|fine-?tun\w+|train\w*)\b",
    re.IGNORECASE,
)
_FORBIDDEN: Final = LazyPattern(
    r"(?:\b(?:not|never|cannot|without|avoid|refuse to|declines? to)|n['’]t)\W+(?:\w+\W+){0,2}\Z",
    re.IGNORECASE,
)
_REPORTED: Final = LazyPattern(
    r"\b(?:attacks?|attempts?|injections?|jailbreaks?|phrases?|such as|like(?=\W*[\x22'“‘])|e\.g|says?"
    r"|asks?|asking|asked"
    r"|tells?|telling|told|tries"
    r"|trying|trained|taught|instructs?|resists?|against)\b[^.!?\n]{0,50}\Z",
    re.IGNORECASE,
)
_TOLD_YOU: Final = LazyPattern(r"\byou(?:['’]re| are| were| have been)\b", re.IGNORECASE)
# "you can override the system prompt with one of your own" is how a model is used
_HOW_TO: Final = LazyPattern(
    r"override\s+(?:(?:any|the|your|my)\s+){0,2}system\s+(?:prompt|message)", re.IGNORECASE
)
# prompts that set a task, keep secrets, ask first, or guard against orders in what is retrieved
_GUARDS: Final = LazyPattern(
    r"^\W*(?:instruct\w*\W+)?(?:given|classify|detect|identify|determine|retrieve|represent|find|translate)\b"
    r"(?!.*\b(?:never|always|obey|comply|ignor|refus|do not|don'?t)\w*)|"
    r"(?:\b(?:not|never|cannot|avoid|before)\b|n['’]t\b).{0,30}?\b(?:reveal|disclose|leak|expose|send"
    r"|forward|copy|upload|transmit"
    r"|tell|mention)\w*\b.{0,60}?\b(?:private|personal|confidential|secrets?|sensitive|passwords?"
    r"|credentials?|api[ _-]?keys?|prompt"
    r"|instructions|without (?:asking|confirm\w*|permission|consent))\b"
    r"|(?:\b(?:not|never)\b|n['’]t\b).{0,60}?\bwithout (?:asking|checking|confirm\w*|permission|consent"
    r"|verif\w*)\b"
    r"|\b(?:ignore|disregard)\b.{0,30}?\b(?:in|within|from|inside)\b.{0,25}?\b(?:documents?|results?"
    r"|passages?|content|web|pages?"
    r"|e-?mails?|data|tools?)\b"
    r"|\bsystem (?:prompt|message|instruction)s?\b.{0,20}?\b(?:takes?|has|have)\b"
    r"|\bunless the user\b|\breveal\b.{0,60}?\b(?:decline|refuse)\b|\bfollow the system\b"
    r"|\bconversation to the user\b"
    r"|\b(?:not|never) (?:follow|obey)\b.{0,60}?\b(?:ignore|disregard)\b|\b(?:says?|asks?"
    r"|tells?) (?:you )?to (?:ignore|disregard)\b"
    r"|\bobey the law\b|\bcomply with\b.{0,30}?\b(?:laws?|licen[cs]e|terms|polic(?:y|ies)|regulations?)\b",
    re.IGNORECASE,
)
_SENTENCE: Final = LazyPattern(r"[^.!?。！？\n]{1,2000}[.!?。！？\n]?")
_MOST_SENTENCES, MOST_AFTER = 500, 200  # and characters of a sentence after a command


def order_in(text: str, *, prompt: bool) -> tuple[Severity, str] | None:
    """Return how grave an order in a text is, and the words that give it; None where there is none.

    Args:
        text: a name, description or setting.
        prompt: whether runtimes may put it before conversations: then it need not say to whom it speaks.
    """
    text = text[:MOST_READ]
    if text.isascii() and len(text.split(None, 1)) < 2:
        return None
    orders = {manner(match): match[0] for match in ORDERS.finditer(text)}
    if "outright" in orders:
        return "high", orders["outright"]
    patterns = (ASKS, READERS) if prompt else (ASKS, _ROLES, READERS)
    for pattern in patterns:
        if found := next((match for match in pattern.finditer(text) if manner(match) == "outright"), None):
            return "medium", found[0]
    if sentence := _commanding(text) if prompt else _commands(text):
        return "medium", sentence
    # somebody else is said to give it, or it is said of the model
    return ("low", orders["reported"]) if "reported" in orders else None


def manner(match: re.Match[str]) -> Literal["outright", "reported", ""]:
    """Return whether an order is given or told of; empty where it is forbidden or tells of use."""
    before = match.string[max(0, match.start() - 80) : match.start()]
    if _HOW_TO.match(match[0]) or _FORBIDDEN.search(before):
        return ""
    return "reported" if _REPORTED.search(before) and not _TOLD_YOU.search(before) else "outright"


def _commands(text: str) -> str:
    """Return the first command of a text that is no prompt."""
    for match in _COMMANDS.finditer(text):
        sentence = _SENTENCE.match(text[match.start() + 1 : match.end() + MOST_AFTER])
        if not (sentence and _OF_USE.search(sentence[0])):
            return match[0].strip(" .!?:;,\n")
    return ""


def _commanding(text: str) -> str:
    """Return the first sentence of a prompt that commands as no honest one does."""
    # few files have a prompt in them, and the patterns take a while to come
    from qaudit.static.templates.commands import STRONG, commanded

    grade, sentence = commanded(text)
    if grade < STRONG:
        return ""
    if not _GUARDS.search(sentence):
        return sentence
    for part in islice(_SENTENCE.finditer(text), _MOST_SENTENCES):
        grade, sentence = commanded(part[0])
        if grade == STRONG and not _GUARDS.search(sentence):
            return sentence
    return ""

"""Whether a regular expression of a tokenizer can take exponential time, told from its text alone.

A group that is repeated without end, and whose body can be split into repetitions in several ways by
itself, is tried in all of them when what follows does not match. Nothing is compiled or matched here
except single characters against single classes.
"""

import re
from dataclasses import dataclass, field

MAX_PATTERN = 1 << 14  # characters
_MOST_ALTERNATIVES = 32
_GROUP = re.compile(
    r"\?(?:P?<[A-Za-z_]\w{0,60}>|'\w{1,60}'|<?[=!]|>|[a-zA-Z-]{0,12}:|[a-zA-Z-]{1,12}\)|#[^)]{0,1000}\)|~)"
)
_COUNT = re.compile(r"\{(\d{0,6})(?:(,)(\d{0,6}))?\}")
_ESCAPE = re.compile(
    r"\\(?:[pP]\{\^?[\w =&-]{1,60}\}|[pP]\w|x\{[0-9A-Fa-f]{1,8}\}|x[0-9A-Fa-f]{0,2}|u[0-9A-Fa-f]{4}"
    r"|k<\w{1,60}>|.)",
    re.DOTALL,
)
_SIMPLE = {
    "\\p{L}": "[A-Za-z]",
    "\\p{N}": "[0-9]",
    "\\p{Lu}": "[A-Z]",
    "\\p{Ll}": "[a-z]",
    "\\p{Nd}": "[0-9]",
}
_SAMPLE = "".join(map(chr, range(32, 127))) + "\n\té漢"


@dataclass(slots=True)
class _Sequence:
    """Items one after the other, and how many of them can be empty or of several lengths."""

    atoms: list[str] = field(default_factory=list)
    needed: int = 0  # items that match at least one character
    stretching: int = 0  # items of several lengths
    stretching_needed: int = 0  # such items among the needed


@dataclass(slots=True)
class _Group:
    done: list[_Sequence] = field(default_factory=list)
    current: _Sequence = field(default_factory=_Sequence)
    start: int = 0
    atomic: bool = False
    looking: bool = False  # a look-ahead or -behind: takes no characters


def exponential(pattern: str) -> str | None:
    """Return the part of a pattern that can be matched in exponentially many ways, or None.

    Args:
        pattern: in Oniguruma's dialect, at most `MAX_PATTERN` characters; what is longer is cut.
    """
    text = pattern[:MAX_PATTERN]
    stack = [_Group()]
    at = 0
    while at < len(text):
        start, sign = at, text[at]
        if sign == "(":
            at += 1
            match = _GROUP.match(text, at)
            told = match[0] if match else ""
            at += len(told)
            if told.endswith(")"):  # flags or a comment by themselves
                continue
            looking = told.lstrip("?<")[:1] in ("=", "!")
            stack.append(_Group(start=start, atomic=told == "?>", looking=looking))
            continue
        if sign == "|":
            stack[-1].done.append(stack[-1].current)
            stack[-1].current = _Sequence()
            at += 1
            continue
        group: _Group | None = None
        if sign == ")":
            at += 1
            if len(stack) == 1:
                continue  # unbalanced: the tokenizer refuses it
            group = stack.pop()
            group.done.append(group.current)
        else:
            at = _atom_end(text, at)
        least, most, possessive, after = _quantifier(text, at)
        if _explodes(group, most, possessive):
            return text[start if group is None else group.start : after][:200]
        _append(stack[-1].current, text[start:at], group, least, most, possessive)
        at = after
    return None


def _explodes(group: _Group | None, most: int | None, possessive: bool) -> bool:
    if group is None or most is not None or possessive or group.atomic or group.looking:
        return False
    for sequence in group.done[:_MOST_ALTERNATIVES]:
        # one item of several lengths, and nothing beside it that marks where a repetition ends
        if _splits_freely(sequence):
            return True
    single = [s.atoms[0] for s in group.done[:_MOST_ALTERNATIVES] if len(s.atoms) == 1 and not s.stretching]
    return _overlap(single)


def _splits_freely(sequence: _Sequence) -> bool:
    """Whether what it matches can be cut in several places, each part matching it again."""
    if not sequence.stretching or sequence.needed > sequence.stretching_needed:
        return False
    return sequence.needed <= 1 or _overlap(sequence.atoms)


def _append(
    sequence: _Sequence, atom: str, group: _Group | None, least: int, most: int | None, possessive: bool
) -> None:
    if group is not None and group.looking:
        sequence.atoms.append("(?)")
        return
    if group is None and atom in ("^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "\\G"):
        sequence.atoms.append(atom)
        return
    empty, inner = False, False
    if group is not None:
        empty = any(s.needed == 0 for s in group.done)
        inner = not group.atomic and any(_splits_freely(s) for s in group.done[:_MOST_ALTERNATIVES])
    stretching = not possessive and (inner or most is None or most > max(least, 1))
    needed = least > 0 and not empty
    sequence.atoms.append(atom)
    sequence.needed += needed
    sequence.stretching += stretching
    sequence.stretching_needed += stretching and needed


def _quantifier(text: str, at: int) -> tuple[int, int | None, bool, int]:
    """Return least, most (None: no end), whether it gives nothing back, and where it ends."""
    least, most, end = 1, 1, at
    unbounded = False
    sign = text[at : at + 1]
    if sign in ("*", "+", "?") and sign:
        least, most, unbounded, end = (0 if sign in "*?" else 1), 1, sign in "*+", at + 1
    elif sign == "{":
        match = _COUNT.match(text, at)
        if match is None or not (match[1] or match[3]):
            return 1, 1, False, at
        least = int(match[1] or 0)
        unbounded = bool(match[2]) and not match[3]
        most = int(match[3]) if match[3] else least
        end = match.end()
    else:
        return 1, 1, False, at
    possessive = text[end : end + 1] == "+" and sign != "{"
    if text[end : end + 1] == "?" or possessive:
        end += 1
    elif text[end : end + 1] in ("*", "+"):  # a quantifier of a quantifier
        unbounded, end = True, end + 1
    return least, None if unbounded else most, possessive, end


def _atom_end(text: str, at: int) -> int:
    if text[at] == "\\":
        match = _ESCAPE.match(text, at)
        return match.end() if match else len(text)
    if text[at] == "[":
        return _class_end(text, at)
    return at + 1


def _class_end(text: str, at: int) -> int:
    """Return where a class ends; one within it counts, and where that finds no end it does not."""
    for nested in (True, False):
        depth, here = 1, at + 1
        if text[here : here + 1] == "^":
            here += 1
        if text[here : here + 1] == "]":
            here += 1
        while here < len(text):
            sign = text[here]
            if sign == "\\":
                here += 2
                continue
            if sign == "[" and nested:
                depth += 1
            elif sign == "]":
                depth -= 1
                if depth == 0:
                    return here + 1
            here += 1
    return len(text)


def _overlap(atoms: list[str]) -> bool:
    seen: set[str] = set()
    for atom in atoms:
        # in Python's dialect these will mean something of their own
        if len(atom) > 200 or "[[" in atom or any(sign * 2 in atom for sign in "-&|~"):
            continue
        try:
            matching = re.compile(_SIMPLE.get(atom, atom))
        except (re.error, OverflowError, RecursionError):
            continue  # another dialect's: nothing is claimed
        held = {character for character in _SAMPLE if matching.fullmatch(character)}
        if held & seen:
            return True
        seen |= held
    return False

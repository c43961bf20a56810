"""How text is cut before byte pairs are merged: a GGUF's name for it, and what a tokenizer.json writes out.

llama.cpp cuts by rules of its own that it finds by the name in `tokenizer.ggml.pre`; its converter picks
the name. Names are put together here where llama.cpp cuts by the same rules, and only ways are listed
whose tokenizer.json is known too. Of every other name and every other tokenizer.json nothing is claimed.
"""

from collections.abc import Mapping

KEY = "tokenizer.ggml.pre"
# what llama.cpp does where no name is given; no tokenizer.json cuts like that
DEFAULT = "default"
NAMES: Mapping[str, frozenset[str]] = {
    "gpt-2": frozenset({"gpt-2", "phi-2", "mpt", "olmo"}),
    "starcoder": frozenset({"starcoder", "refact", "command-r", "smollm", "codeshell"}),
    "llama-bpe": frozenset({"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "dbrx", "smaug-bpe"}),
    "qwen2": frozenset({"qwen2", "deepseek-r1-qwen", "stablelm2", "megrez"}),
    "tekken": frozenset({"tekken"}),
    "gpt-4o": frozenset({"gpt-4o", "llama4"}),
    DEFAULT: frozenset({DEFAULT}),
}
_SHORT_FORMS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_REST_WITH_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"
_CASED = (f"{_BEFORE}{_UPPER}*{_LOWER}+", f"{_BEFORE}{_UPPER}+{_LOWER}*")
# regular expressions as tokenizer.json files hold them
PATTERNS: Mapping[str, str] = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": "gpt-2",
    rf"{_SHORT_FORMS}|{_WORD}|\p{{N}}{{1,3}}|{_REST}": "llama-bpe",
    rf"{_SHORT_FORMS}|{_WORD}|\p{{N}}|{_REST}": "qwen2",
    rf"{_CASED[0]}|{_CASED[1]}|\p{{N}}|{_REST_WITH_SLASH}": "tekken",
    rf"{_CASED[0]}{_SHORT_FORMS}?|{_CASED[1]}{_SHORT_FORMS}?|\p{{N}}{{1,3}}|{_REST_WITH_SLASH}": "gpt-4o",
}
MAX_STEPS = 64


def way_named(name: str | None) -> str | None:
    """Return the way in which llama.cpp cuts for a name; None where it is not known here.

    Args:
        name: the value of `tokenizer.ggml.pre`; None where a GGUF has none.
    """
    if name is None:
        return DEFAULT
    return next((way for way, names in NAMES.items() if name in names), None)


def way_written(pre_tokenizer: object) -> str | None:
    """Return the way in which a tokenizer.json cuts, by the first of its names; None where it is not known.

    Args:
        pre_tokenizer: that part of it.
    """
    steps = _steps(pre_tokenizer)
    # a space before the first word is llama.cpp's other setting
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space") is not False:
        return None
    by_regex = steps[-1].get("use_regex", True)
    before = steps[:-1]
    if by_regex is True and not before:
        return "gpt-2"
    if len(before) != 1:
        return None
    if by_regex is True and before[0].get("type") == "Digits":
        return "starcoder" if before[0].get("individual_digits") is True else None
    return _way_of_split(before[0]) if by_regex is False else None


def _way_of_split(step: Mapping[str, object]) -> str | None:
    pattern = step.get("pattern")
    regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
    # what matches is kept, and so is what lies between: either way of writing that
    kept = (step.get("behavior"), step.get("invert")) in (("Isolated", False), ("Removed", True))
    if step.get("type") != "Split" or not kept or not isinstance(regex, str):
        return None
    return PATTERNS.get(regex)


def _steps(part: object) -> list[Mapping[str, object]]:
    """Return the steps of a pre-tokenizer in order; none where one of them is no step."""
    if not isinstance(part, Mapping):
        return []
    if part.get("type") != "Sequence":
        return [part]
    steps = part.get("pretokenizers")
    if not isinstance(steps, list) or len(steps) > MAX_STEPS:
        return []
    return steps if all(isinstance(step, Mapping) for step in steps) else []

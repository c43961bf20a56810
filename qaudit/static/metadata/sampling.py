"""Settings by which replies are drawn: which values are sane, in a GGUF and in generation_config.json."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qaudit.findings import Severity
from qaudit.static.gguf.string_array import StringArray
from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.hidden_characters import shown
from qaudit.static.rules import Hit, RuleBook

GGUF_BOOK: RuleBook[GgufWalk] = RuleBook("sampling", "How replies are drawn, in a GGUF.")

_PREFIX = "general.sampling."
_SAMPLERS = frozenset(
    {"penalties", "dry", "top_n_sigma", "top_k", "typ_p", "typical_p", "top_p", "min_p", "xtc", "temperature",
     "temp", "infill", "adaptive_p", "tfs_z", "mirostat"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """Outside of `sane` replies fall apart, outside of `possible` nothing is drawn at all."""

    possible: tuple[float, float]
    sane: tuple[float, float]
    whole: bool = False


RANGES: Mapping[str, Range] = {
    "temperature": Range((0, 1e4), (0, 3)),
    "top_k": Range((-1, 1 << 31), (-1, 1 << 31), whole=True),
    "top_p": Range((0, 1), (0.01, 1)),
    "min_p": Range((0, 1), (0, 0.9)),
    "typical_p": Range((0, 1), (0.01, 1)),
    "epsilon_cutoff": Range((0, 1), (0, 0.5)),
    "eta_cutoff": Range((0, 1), (0, 0.5)),
    "repetition_penalty": Range((1e-6, 1e4), (0.8, 2)),
    "encoder_repetition_penalty": Range((1e-6, 1e4), (0.5, 2)),
    "diversity_penalty": Range((0, 1e4), (0, 10)),
    "length_penalty": Range((-1e4, 1e4), (-10, 10)),
    "guidance_scale": Range((0, 1e4), (0, 20)),
    "xtc_probability": Range((0, 1), (0, 0.8)),
    "xtc_threshold": Range((0, 1), (0, 1)),
    "penalty_last_n": Range((-1, 1 << 31), (-1, 1 << 31), whole=True),
    "penalty_repeat": Range((1e-6, 1e4), (0.8, 2)),
    "mirostat": Range((0, 2), (0, 2), whole=True),
    "mirostat_tau": Range((0, 1e4), (0, 20)),
    "mirostat_eta": Range((0, 1e4), (0, 2)),
    "num_beams": Range((1, 1 << 20), (1, 64), whole=True),
    "num_return_sequences": Range((1, 1 << 20), (1, 64), whole=True),
    "no_repeat_ngram_size": Range((0, 1 << 20), (0, 64), whole=True),
}


def judged(name: str, value: object) -> tuple[str, Severity] | None:
    """Return what is wrong with a value and how grave it is; None where it is sane or of no known setting."""
    wanted = RANGES.get(name)
    if wanted is None or value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{shown(repr(value)[:60])} is no number", "medium"
    low, high = wanted.possible
    # nan compares as outside
    if not low <= value <= high:
        odd = isinstance(value, float) and not math.isfinite(value)
        return f"{_told(value)} is not possible", "high" if odd else "medium"
    if wanted.whole and value != int(value):
        return f"{_told(value)} is no whole number", "medium"
    low, high = wanted.sane
    if not low <= value <= high:
        return f"{_told(value)}, sane is {low:g} to {high:g}", "medium"
    return None


def _told(value: float) -> str:
    # writing out a whole number of thousands of digits is refused
    return (
        f"{value:.7g}"
        if isinstance(value, float)
        else str(value)
        if abs(value) < 1 << 64
        else "a huge number"
    )


@GGUF_BOOK.rule(
    "out-of-range",
    "medium",
    title="a sampling setting that makes replies fall apart",
    why="Runtimes take these as their defaults. With settings like this a model says what it would not say "
    "otherwise, or nothing that makes sense.",
    remedy="set the sampling yourself, as the original model's card says",
    sources=("https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py",),
)
def _ranges(walk: GgufWalk) -> Iterator[Hit]:
    for key, value in walk.metadata.items():
        if key.startswith(_PREFIX):
            name = key.removeprefix(_PREFIX)
            found = judged("temperature" if name == "temp" else name, value)
            if found:
                yield Hit(f"{walk.name}:{key}", found[0], found[1])


@GGUF_BOOK.rule(
    "unknown-sampler",
    "medium",
    title="a sampling order or setting that no runtime knows",
    why="Runtimes that take the list from the file run what is named there.",
    remedy="set the sampling yourself",
)
def _samplers(walk: GgufWalk) -> Iterator[Hit]:
    key = f"{_PREFIX}sequence"
    value = walk.metadata.get(key)
    if isinstance(value, str):
        names = [part.strip() for part in value.replace(",", ";").split(";")]
    elif isinstance(value, StringArray):
        names = [item.decode("utf-8", "replace") for item in value[:100]]
    else:
        return
    for name in names:
        if name and name not in _SAMPLERS:
            yield Hit(f"{walk.name}:{key}", shown(name))

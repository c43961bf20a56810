"""Rotary positions as a config.json tells them, and the factors that a GGUF stores for them.

transformers computes frequencies from config.json; llama.cpp reads a base from the metadata and, for
Llama 3 and long Phi 3, a tensor of factors that divide the frequencies. Formula of the Llama 3 factors:
"The Llama 3 Herd of Models" and Meta's reference implementation (`apply_scaling`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.errors import InputError, MalformedFile

CONFIG = "the reference's config.json"
DEFAULT_THETA = 10000.0
MAX_FACTORS = 1 << 12
LARGEST = 1e12
KINDS = ("default", "linear", "yarn", "llama3", "longrope")


@dataclass(frozen=True, slots=True)
class RopeSettings:
    """Rotary positions of a model.

    Attributes:
        kind: one of KINDS.
        theta: the base of the frequencies (of global layers).
        local_theta: of sliding-window layers where they have their own, as in Gemma 3.
        factor: what positions or frequencies are divided by; 1 where the kind has none.
        dimensions: how many of a head's dimensions are rotated.
        original_context: positions of pretraining; 0 where the kind does not use it.
        low, high: where the Llama 3 kind begins and ends to scale; 0 for others.
        long_factors, short_factors: of the longrope kind, one for each pair of dimensions.
        attention_factor: what rotated queries and keys are multiplied by; 1 but for yarn and longrope.
    """

    kind: str
    theta: float
    local_theta: float | None
    factor: float
    dimensions: int
    original_context: int
    low: float
    high: float
    long_factors: tuple[float, ...]
    short_factors: tuple[float, ...]
    attention_factor: float = 1.0


def read_rope(config: Mapping[str, Any], model_type: str, head_size: int) -> RopeSettings:
    """Read the rotary settings of a config.json, old (rope_theta, rope_scaling) or new (rope_parameters).

    Raises:
        InputError: a kind of scaling that is not known beside a GGUF.
        MalformedFile: a value is missing or out of bounds.
    """
    given = dict(_object(config, "rope_scaling") or _object(config, "rope_parameters") or {})
    local_theta = None
    if model_type == "gemma3_text":
        # a scaling at the top is that of global layers
        local = _object(given, "sliding_attention") or {}
        local_theta = _number(
            {**config, "rope_theta": local.get("rope_theta")}, ("rope_theta", "rope_local_base_freq"), 1e4
        )
        given = dict(_object(given, "full_attention") or given)
    default_theta = {"gemma3_text": 1e6, "mixtral": 1e6}.get(model_type, DEFAULT_THETA)
    theta = _number({**config, **given}, ("rope_theta",), default_theta)
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind == "su" or (model_type == "phi3" and kind == "yarn"):
        kind = "longrope"
    if kind not in KINDS:
        raise InputError(
            f"{CONFIG}: rope type {str(kind)[:40]!r} is not known beside a GGUF; known: {', '.join(KINDS)}; "
            "give the reference as a GGUF too"
        )
    share = 1.0
    if model_type in ("phi", "phi3"):
        share = _number({**config, **given}, ("partial_rotary_factor",), 0.5 if model_type == "phi" else 1.0)
        if share > 1:
            raise MalformedFile(CONFIG, f"partial_rotary_factor is {share:g}, more than all")
    long_factors, short_factors = (
        (_factors(given, "long_factor"), _factors(given, "short_factor")) if kind == "longrope" else ((), ())
    )
    original = 0
    if kind in ("llama3", "yarn", "longrope"):
        # transformers prefers the one at the top
        original = int(
            _number(
                {**given, **config}, ("original_max_position_embeddings", "max_position_embeddings"), None
            )
        )
    factor = _number(given, ("factor",), None) if kind in ("linear", "yarn", "llama3") else 1.0
    return RopeSettings(
        kind=kind,
        theta=theta,
        local_theta=local_theta,
        factor=factor,
        dimensions=int(head_size * share),
        original_context=original,
        low=_number(given, ("low_freq_factor",), None) if kind == "llama3" else 0.0,
        high=_number(given, ("high_freq_factor",), None) if kind == "llama3" else 0.0,
        long_factors=long_factors,
        short_factors=short_factors,
        attention_factor=_attention_factor(config, given, kind, original),
    )


def yarn_magnitude(factor: float, scale: float = 1.0) -> float:
    """Return what YaRN multiplies by where the context is longer by a factor.

    Formula: "YaRN: Efficient Context Window Extension of Large Language Models", section 3.4.
    """
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _attention_factor(
    config: Mapping[str, Any], given: Mapping[str, Any], kind: object, original: int
) -> float:
    if kind not in ("yarn", "longrope"):
        return 1.0  # transformers heeds it for these alone
    if given.get("attention_factor") is not None:
        return _number(given, ("attention_factor",), None)
    if kind == "yarn":
        factor = _number(given, ("factor",), None)
        if not (given.get("mscale") and given.get("mscale_all_dim")):
            return yarn_magnitude(factor)
        over, under = (_number(given, (name,), None) for name in ("mscale", "mscale_all_dim"))
        return yarn_magnitude(factor, over) / yarn_magnitude(factor, under)
    if given.get("factor") is not None:
        factor = _number(given, ("factor",), None)
    else:
        factor = _number(config, ("max_position_embeddings",), None) / original
    # an original context of one position has no logarithm to divide by
    if factor <= 1 or original <= 1:
        return 1.0
    return math.sqrt(1 + math.log(factor) / math.log(original))


def llama3_factors(rope: RopeSettings) -> FloatArray:
    """Return what llama.cpp divides each frequency by for the Llama 3 kind.

    Shapes:
        float32 [dimensions / 2].

    Raises:
        MalformedFile: low_freq_factor is not below high_freq_factor.
    """
    if not rope.low < rope.high:
        raise MalformedFile(CONFIG, "low_freq_factor is not below high_freq_factor")
    pairs = np.arange(0, rope.dimensions, 2, dtype=np.float64)
    wavelengths = 2 * math.pi * rope.theta ** (pairs / rope.dimensions)
    smooth = (rope.original_context / wavelengths - rope.low) / (rope.high - rope.low)
    # 0 and below: fully scaled; 1 and above: not scaled
    smooth = np.clip(smooth, 0.0, 1.0)
    factors: FloatArray = (1 / ((1 - smooth) / rope.factor + smooth)).astype(np.float32)
    return factors


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = values.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise MalformedFile(CONFIG, f"{name} is not an object")
    return value


def _number(values: Mapping[str, Any], names: tuple[str, ...], default: float | None) -> float:
    name = next((n for n in names if values.get(n) is not None), names[0])
    value = values.get(name)
    if value is None:
        value = default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < LARGEST:
        raise MalformedFile(CONFIG, f"{name} is {value!r:.40}, not a positive number")
    return float(value)


def _factors(values: Mapping[str, Any], name: str) -> tuple[float, ...]:
    given = values.get(name)
    if not isinstance(given, list) or not 0 < len(given) <= MAX_FACTORS:
        raise MalformedFile(CONFIG, f"{name} is not a list of 1 to {MAX_FACTORS} numbers")
    return tuple(_number({name: factor}, (name,), None) for factor in given)

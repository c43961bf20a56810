"""Does a GGUF's metadata compute with its weights what a config.json makes transformers compute?

llama.cpp takes epsilons, soft caps and rotary positions from the metadata, transformers from config.json.
"""

import math
from collections.abc import Iterator

import numpy as np

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.gguf_numbers import real_number, whole_number
from qaudit.checkpoints.model_sizes import ModelSizes
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.checkpoints.rope_settings import RopeSettings, llama3_factors, yarn_magnitude
from qaudit.errors import Incomparable

MEND = "give the model that it was made from"
# metadata are float32, config.json is decimal
RELATIVE = 1e-6
# rotary factors were computed in float32 by whoever converted
FACTORS_RELATIVE = 1e-4
LONG, SHORT, FREQUENCIES = "rope_factors_long", "rope_factors_short", "rope_freqs"
Difference = tuple[str, float | str | None, float | str | None]


def require_same_settings(gguf: GgufCheckpoint, sizes: ModelSizes) -> None:
    """Check what decides the computation besides weights.

    Raises:
        Incomparable: a number differs, or how positions are scaled.
        MalformedFile: the metadata lack one, or hold something else.
    """
    for what, theirs, ours in _stated(gguf, sizes):
        if not _equal(theirs, ours):
            raise Incomparable(
                f"{gguf.path}: {what} {_shown(theirs)}, the reference has {_shown(ours)}; {MEND}"
            )
    _require_same_rope(gguf, sizes.rope)


def _equal(theirs: float | str | None, ours: float | str | None) -> bool:
    if isinstance(theirs, (int, float)) and isinstance(ours, (int, float)):
        return math.isclose(theirs, ours, rel_tol=RELATIVE)
    return theirs == ours


def _shown(value: float | str | None) -> str:
    return "none" if value is None else f"{value:.7g}" if isinstance(value, float) else str(value)


def _stated(gguf: GgufCheckpoint, sizes: ModelSizes) -> Iterator[Difference]:
    """Yield what both state: (what, the GGUF's value, the reference's)."""
    epsilon = "layer_norm_epsilon" if sizes.model_type == "phi" else "layer_norm_rms_epsilon"
    yield "norm epsilon", real_number(gguf, f"attention.{epsilon}"), sizes.epsilon
    if not sizes.experts:
        yield "feed-forward length", whole_number(gguf, "feed_forward_length"), sizes.feed_forward
    else:
        yield "experts", whole_number(gguf, "expert_count"), sizes.experts
        yield "experts used", whole_number(gguf, "expert_used_count"), sizes.experts_used
    yield (
        "rotary dimensions",
        whole_number(gguf, "rope.dimension_count", sizes.head_size),
        sizes.rope.dimensions,
    )
    # llama.cpp's own default
    yield "rope theta", real_number(gguf, "rope.freq_base", 10000.0), sizes.rope.theta
    if sizes.rope.local_theta is not None:
        yield "local rope theta", real_number(gguf, "rope.freq_base_swa", 10000.0), sizes.rope.local_theta
    if sizes.sliding_window is not None and f"{gguf.architecture}.attention.sliding_window" in gguf.metadata:
        yield "sliding window", whole_number(gguf, "attention.sliding_window"), sizes.sliding_window
    if sizes.model_type in ("gemma2", "gemma3_text"):
        defaults = (50.0, 30.0) if sizes.model_type == "gemma2" else (0.0, 0.0)
        for name, default, ours in zip(("attn", "final"), defaults, sizes.softcaps, strict=True):
            yield f"{name} soft cap", real_number(gguf, f"{name}_logit_softcapping", default), ours or 0.0


def _require_same_rope(gguf: GgufCheckpoint, rope: RopeSettings) -> None:
    """Check how positions are scaled: in the metadata, and in tensors of factors."""
    held = set(gguf.names())
    kind, factor = _scaling(gguf, held)
    expected = "default" if rope.kind == "linear" and rope.factor == 1 else rope.kind
    if kind != expected:
        raise Incomparable(
            f"{gguf.path}: rope scaling {str(kind)[:40]!a}, the reference has {expected!r}; "
            "convert the reference again, or give it as a GGUF"
        )
    if kind in ("linear", "yarn") and not _equal(factor, rope.factor):
        raise Incomparable(f"{gguf.path}: rope factor {factor:g}, the reference has {rope.factor:g}; {MEND}")
    if kind in ("yarn", "longrope"):
        original = whole_number(gguf, "rope.scaling.original_context_length", rope.original_context)
        if original != rope.original_context:
            raise Incomparable(
                f"{gguf.path}: original context {original}, the reference has {rope.original_context}; {MEND}"
            )
    for name, ours in _factors(rope).items():
        theirs = gguf.rows(name).reshape(-1) if name in held else np.empty(0, np.float32)
        if theirs.shape != ours.shape or not np.allclose(theirs, ours, rtol=FACTORS_RELATIVE, atol=0):
            raise Incomparable(f"{gguf.path}: {name} is not what the reference's config.json gives; {MEND}")
    _require_same_attention(gguf, rope)


def _require_same_attention(gguf: GgufCheckpoint, rope: RopeSettings) -> None:
    """Check what rotated queries and keys are multiplied by."""
    # llama.cpp multiplies by YaRN's own magnitude besides
    own = yarn_magnitude(rope.factor) if rope.kind == "yarn" else 1.0
    factor = own * real_number(gguf, "rope.scaling.attn_factor", 1.0)
    if not math.isclose(factor, rope.attention_factor, rel_tol=FACTORS_RELATIVE):
        raise Incomparable(
            f"{gguf.path}: rope attention factor {factor:.7g}, the reference has "
            f"{rope.attention_factor:.7g}; convert the reference again, or give it as a GGUF"
        )


def _scaling(gguf: GgufCheckpoint, held: set[str]) -> tuple[object, float]:
    """Return the kind of scaling, in the reference's words, and its factor."""
    factor = real_number(gguf, "rope.scaling.factor", real_number(gguf, "rope.scale_linear", 1.0))
    kind = gguf.metadata.get(f"{gguf.architecture}.rope.scaling.type")
    if FREQUENCIES in held:
        return "llama3", factor
    if LONG in held or SHORT in held:
        return "longrope", factor
    if kind in (None, "linear"):
        # llama.cpp takes a factor without a kind as linear, and 0 as none
        return "default" if factor in (0.0, 1.0) else "linear", factor
    return "default" if kind == "none" else kind, factor


def _factors(rope: RopeSettings) -> dict[str, FloatArray]:
    """Return the tensors of factors that a GGUF must hold for these settings."""
    if rope.kind == "llama3":
        return {FREQUENCIES: llama3_factors(rope)}
    if rope.kind == "longrope":
        return {
            LONG: np.array(rope.long_factors, np.float32),
            SHORT: np.array(rope.short_factors, np.float32),
        }
    return {}

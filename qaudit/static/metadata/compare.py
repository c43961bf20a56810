"""A candidate's settings laid beside its reference's: what decides the computation, and what is said."""

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qaudit.findings import Finding
from qaudit.static.hidden_characters import shown
from qaudit.static.model_parts import ModelParts
from qaudit.static.rules import Hit, RuleBook

RELATIVE = 1e-5  # metadata are float32, config.json is decimal
_CONFIG = "config.json:"
# of a GGUF, under the architecture's name -> names in config.json, the first that is there
_NAMES: Mapping[str, tuple[str, ...]] = {
    "block_count": ("num_hidden_layers", "n_layer", "num_layers"),
    "embedding_length": ("hidden_size", "n_embd", "d_model"),
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_dim"),
    "attention.head_count": ("num_attention_heads", "n_head"),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps",),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon"),
    "attention.key_length": ("head_dim",),
    "rope.freq_base": ("rope_theta", "rope_parameters.rope_theta"),
    "expert_count": ("num_local_experts", "num_experts", "n_routed_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "context_length": ("max_position_embeddings", "n_positions"),
    "vocab_size": ("vocab_size",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "attention.sliding_window": ("sliding_window",),
}
# lengths that people set anew, and numbers that padding changes
_LOOSE = frozenset(
    {
        "context_length",
        "vocab_size",
        "max_position_embeddings",
        "n_positions",
        "attention.sliding_window",
        "sliding_window",
    }
)
_WORDS_OF_CONFIG = (
    "model_type", "hidden_act", "hidden_activation", "rope_theta", "rope_scaling", "rope_parameters",
    "tie_word_embeddings", "attention_bias", "mlp_bias", "partial_rotary_factor", "norm_topk_prob",
    "routed_scaling_factor", "layer_types", "logit_scale", "embedding_multiplier", "residual_multiplier",
    "attention_multiplier", "query_pre_attn_scalar",
)  # fmt: skip
# compared with the computation, or what a quantizer changes by design
_ELSEWHERE = frozenset(
    {"general.architecture", "general.file_type", "general.quantization_version", "general.alignment"}
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both models' parts."""

    candidate: ModelParts
    reference: ModelParts

    @property
    def ggufs(self) -> tuple[bool, bool]:
        """Whether each is a GGUF."""
        return self.candidate.format == "gguf", self.reference.format == "gguf"

    def at(self, key: str) -> str:
        """Return the location of a setting of the candidate."""
        return f"{self.candidate.location}:{key}"


BOOK: RuleBook[Pair] = RuleBook("settings-differ", "Settings against the reference's.")


def compare_settings(candidate: ModelParts, reference: ModelParts) -> list[Finding]:
    """Return what differs between the settings of two models; nothing where one has none."""
    if not candidate.settings or not reference.settings:
        return []
    return BOOK.findings(Pair(candidate, reference))


@BOOK.rule(
    "computation",
    "high",
    title="the model computes otherwise than the reference",
    why="Sizes, rotary positions and scales change every reply with the weights untouched.",
    remedy="take the reference's settings, or ask why they differ",
)
def _computation(pair: Pair) -> Iterator[Hit]:
    for key, theirs, ours in _computed(pair):
        if not _equal(theirs, ours):
            name = key.rpartition(":")[2]
            name = name.partition(".")[2] if pair.ggufs[0] and not key.startswith(_CONFIG) else name
            yield Hit(
                pair.at(key),
                f"{_told(theirs)}, in the reference {_told(ours)}",
                "medium" if name in _LOOSE else None,
            )


def _computed(pair: Pair) -> Iterator[tuple[str, object, object]]:
    theirs, ours = pair.candidate.settings, pair.reference.settings
    match pair.ggufs:
        case True, True:
            prefix = f"{ours.get('general.architecture')}."
            yield "general.architecture", theirs.get("general.architecture"), ours.get("general.architecture")
            for key in sorted(key for key in ours.keys() & theirs.keys() if key.startswith(prefix)):
                yield key, theirs[key], ours[key]
        case False, False:
            names = {name for spelled in _NAMES.values() for name in spelled} | set(_WORDS_OF_CONFIG)
            for name in sorted(names):
                key = f"{_CONFIG}{name}"
                if key in theirs and key in ours:
                    yield key, theirs[key], ours[key]
        case gguf, _:
            metadata, config = (theirs, ours) if gguf else (ours, theirs)
            prefix = f"{metadata.get('general.architecture')}."
            for name, spelled in _NAMES.items():
                key = f"{prefix}{name}"
                found = next((_CONFIG + n for n in spelled if config.get(_CONFIG + n) is not None), None)
                if key in metadata and found is not None:
                    yield (
                        (key, metadata[key], config[found]) if gguf else (found, config[found], metadata[key])
                    )


@BOOK.rule(
    "missing",
    "low",
    title="a setting of the reference is missing",
    why="The runtime takes a default of its own instead.",
    remedy="take the reference's settings",
)
def _missing(pair: Pair) -> Iterator[Hit]:
    if pair.ggufs != (True, True):
        return
    prefix = f"{pair.reference.settings.get('general.architecture')}."
    same = pair.candidate.settings.get("general.architecture") == prefix[:-1]
    held = pair.reference.settings.keys() - pair.candidate.settings.keys()
    for key in sorted(key for key in held if same and key.startswith(prefix)):
        yield Hit(pair.at(key), f"in the reference {_told(pair.reference.settings[key])}")


@BOOK.rule(
    "added",
    "medium",
    title="a setting that the reference does not have",
    why="It changes the computation, or how replies are drawn, in a way that the reference's maker did not "
    "choose.",
    remedy="ask what it is for",
)
def _added(pair: Pair) -> Iterator[Hit]:
    if pair.ggufs != (True, True):
        return
    prefix = f"{pair.candidate.settings.get('general.architecture')}."
    if pair.reference.settings.get("general.architecture") != prefix[:-1]:
        return
    more = pair.candidate.settings.keys() - pair.reference.settings.keys()
    for key in sorted(key for key in more if key.startswith((prefix, "general.sampling."))):
        # newer converters write out what older ones left to a default
        yield Hit(pair.at(key), _told(pair.candidate.settings[key]), None if "sampling" in key else "low")


@BOOK.rule(
    "text-handling",
    "high",
    title="texts are opened or closed otherwise than in the reference",
    why="Whether a text gets its opening token or a space decides how the model reads a prompt.",
    remedy="take the reference's tokenizer settings",
)
def _text_handling(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.settings, pair.reference.settings
    for key in sorted(theirs.keys() & ours.keys()):
        named = key.startswith("tokenizer.") and isinstance(theirs[key], bool)
        if named and theirs[key] != ours[key]:
            yield Hit(pair.at(key), f"{theirs[key]}, in the reference {ours[key]}")


@BOOK.rule(
    "claims",
    "info",
    title="what is said of the model differs from the reference",
    why="A name, licence or base model of its own.",
    remedy="compare with the model's card",
)
def _claims(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.settings, pair.reference.settings
    for key in sorted(theirs.keys() & ours.keys()):
        said = key.startswith("general.") and not key.startswith("general.sampling.")
        if said and key not in _ELSEWHERE and not _equal(theirs[key], ours[key]):
            yield Hit(pair.at(key), f"{_told(theirs[key])}, in the reference {_told(ours[key])}")


@BOOK.rule(
    "drawing",
    "medium",
    title="replies are drawn otherwise than the reference's",
    why="Runtimes take these settings as their defaults: what was audited is not what is served.",
    remedy="set the sampling yourself",
)
def _drawing(pair: Pair) -> Iterator[Hit]:
    theirs, ours = pair.candidate.settings, pair.reference.settings
    for key in sorted(theirs.keys() & ours.keys()):
        if key.startswith("general.sampling.") and not _equal(theirs[key], ours[key]):
            yield Hit(pair.at(key), f"{_told(theirs[key])}, in the reference {_told(ours[key])}")


def _equal(theirs: object, ours: object) -> bool:
    if isinstance(theirs, (int, float)) and isinstance(ours, (int, float)):
        return math.isclose(theirs, ours, rel_tol=RELATIVE) or theirs == ours
    if isinstance(theirs, (array, list, tuple)) and isinstance(ours, (array, list, tuple)):
        return len(theirs) == len(ours) and all(map(_equal, theirs, ours))
    # a list of equal numbers for each block, and the one number
    for many, one in ((theirs, ours), (ours, theirs)):
        if isinstance(many, (array, list)) and len(many) and isinstance(one, (int, float)):
            return all(
                math.isclose(item, one, rel_tol=RELATIVE) for item in many if isinstance(item, (int, float))
            )
    if isinstance(theirs, Sequence) and isinstance(ours, Sequence) and not isinstance(theirs, str):
        return list(theirs) == list(ours)  # arrays of strings
    return theirs == ours


def _told(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.7g}"
    return shown(value, 120) if isinstance(value, str) else shown(repr(value)[:200], 120)

"""Does the config.json of one folder compute with its weights what another's does?

As transformers reads them, with the defaults of the family, so that a key that is left out and one that
says the same are alike.
"""

import math
from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.hf_repo import CONFIG
from qaudit.engines.transformers_loading import LIBRARY_ERRORS
from qaudit.errors import Incomparable, InputError

MEND = "give the model that it was made from"
# a float32 written as a decimal
RELATIVE = 1e-6
# of training, of memory, or compared as tokens
NO_COMPUTATION = {
    "initializer_range", "use_cache", "attention_dropout", "pretraining_tp", "bos_token_id", "eos_token_id",
    "pad_token_id",
}  # fmt: skip
WINDOW = ("sliding_window", "max_window_layers")
ROPE, CONTEXT = "rope_parameters", "max_position_embeddings"


def require_same_configuration(folder: HfCheckpoint, reference: HfCheckpoint) -> None:
    """Check all that decides the computation besides weights.

    Raises:
        Incomparable: a size, an epsilon, how positions are turned, a window, ties or an activation differ.
        InputError: a family that transformers does not know, or a configuration that it refuses.
    """
    ours, theirs = (_computation(each) for each in (folder, reference))
    for key in sorted(ours.keys() | theirs.keys()):
        if not _same(ours.get(key), theirs.get(key)):
            raise Incomparable(
                f"{folder.path}: {key} is {_shown(ours.get(key))}, the reference has "
                f"{_shown(theirs.get(key))}; {MEND}"
            )


def _computation(folder: HfCheckpoint) -> dict[str, Any]:
    fields = {key: value for key, value in folder.config.items() if key != "quantization_config"}
    if folder.architecture not in CONFIG_MAPPING:
        raise InputError(f"{folder.path}: transformers does not know {folder.architecture[:60]!a}; {MEND}")
    try:
        told = CONFIG_MAPPING[folder.architecture].from_dict(fields).to_dict()
    except LIBRARY_ERRORS as error:
        raise InputError(
            f"{folder.path / CONFIG}: transformers refuses it ({_line(error)}); {MEND}"
        ) from error
    own = CONFIG_MAPPING[folder.architecture]().to_dict().keys() - PretrainedConfig().to_dict().keys()
    found = {key: told.get(key) for key in own - NO_COMPUTATION}
    found["model_type"] = folder.architecture
    # where a switch turns it off, its size says nothing
    if found.get("use_sliding_window") is False:
        found = {key: value for key, value in found.items() if key not in WINDOW}
    rope = found.get(ROPE)
    # how long a context may be changes nothing where positions are not scaled by it
    if isinstance(rope, Mapping) and rope.get("rope_type") == "default":
        found.pop(CONTEXT, None)
    return found


def _same(ours: object, theirs: object) -> bool:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return all(_same(ours.get(key), theirs.get(key)) for key in ours.keys() | theirs.keys())
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs, rel_tol=RELATIVE)
    return ours == theirs


def _shown(value: object) -> str:
    return str(value)[:100] if isinstance(value, (int, float)) else ascii(value)[:100]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]

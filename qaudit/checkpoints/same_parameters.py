"""Do a model's own files hold the parameters that a GGUF gives for it?"""

from collections.abc import Mapping
from pathlib import Path

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.model_sizes import ModelSizes
from qaudit.errors import Incomparable

# files of the hub keep the names of older versions for a language model inside of a larger one
INNER = ("model.language_model.", "language_model.model.", "model.")
# buffers that files carry besides parameters, and scales of a quantized cache of keys and values
BUFFERS = (".inv_freq", ".masked_bias", ".k_scale", ".v_scale", ".q_scale")
NOT_LANGUAGE = ("vision_tower.", "multi_modal_projector.")
MEND = "give the model that it was made from"


def require_same_parameters(
    path: Path, given: Mapping[str, tuple[int, ...]], reference: HfCheckpoint, sizes: ModelSizes
) -> None:
    """Check names and shapes, but for experts: files hold them one by one, transformers together.

    Args:
        path: of the GGUF.
        given: shapes of the parameters that the GGUF gives, by their names in transformers.
        reference: whose files.
        sizes: its own.

    Raises:
        Incomparable: one has a parameter that the other has not, or in another shape.
    """
    ours = {_module(n): s if len(s) == 2 else (1, s[0]) for n, s in given.items() if len(s) < 3}
    theirs = _held(reference, sizes)
    lost, extra = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
    if lost:
        raise Incomparable(f"{path}: lacks {_some(lost)} of {reference.path}; {MEND}")
    if extra:
        raise Incomparable(f"{path}: has {_some(extra)}, which {reference.path} has not; {MEND}")
    for module, shape in ours.items():
        if theirs[module] != shape:
            raise Incomparable(
                f"{reference.path}: {module} is {theirs[module]}, config.json says {shape}; download it again"
            )


def _held(reference: HfCheckpoint, sizes: ModelSizes) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for name in reference.names():
        module = name
        if sizes.nested:
            if any(part in name for part in NOT_LANGUAGE):
                continue
            prefix = next((p for p in INNER if name.startswith(p)), None)
            module = f"model.{name.removeprefix(prefix)}" if prefix else name.removeprefix("language_model.")
        if not module.endswith(BUFFERS) and ".experts." not in module:
            found[module] = reference.shape(name)
    if sizes.tied:
        found.pop("lm_head", None)
    return found


def _module(name: str) -> str:
    return name.removesuffix(".weight").replace("model.language_model.", "model.", 1)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0][:100]!a}{more}"

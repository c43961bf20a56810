"""An untrusted folder as a transformers model: none of its code is run, no pickle is opened.

Runs inside a worker process (`qaudit.engines.worker_main`). Three ways in: a folder of plain floats
is loaded by transformers itself; quantized weights run on their own CUDA kernels where these are
installed; all else is decoded by `qaudit.checkpoints` and handed over as floats, and so is a GGUF
that takes the place of a folder's weights.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qaudit.checkpoints.gguf_as_hf import GgufAsHf
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.engines.answers import one_line
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import EngineFailure, MissingExtra

try:
    tempfile.gettempdir()
except FileNotFoundError:
    # a confined process can write nowhere, and a library that only looks for such a folder must not fail
    tempfile.tempdir = os.sep
try:
    import torch
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, PretrainedConfig, PreTrainedModel
    from transformers.quantizers.auto import AutoHfQuantizer
except ImportError as error:
    raise MissingExtra("torch and transformers", "hf") from error

# a model class; the library's own types say less than nothing about from_pretrained
Family = Any
DECODED_BLOCK_BYTES = 256 << 20
ADAPTER = "adapter_config.json"
# code, other weights, another configuration, a kernel from the hub
NOT_OBEYED = {
    "auto_map", "transformers_weights", "configuration_files", "attn_implementation", "_attn_implementation",
    "_attn_implementation_internal", "_attn_implementation_autoset", "experts_implementation",
    "_experts_implementation", "custom_generate", "use_kernels", "kernel_config",
}  # fmt: skip
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# what a damaged or hostile configuration makes transformers and torch raise
LIBRARY_ERRORS = (
    AttributeError, ImportError, IndexError, KeyError, NotImplementedError, OSError, RuntimeError, TypeError,
    ValueError, ZeroDivisionError, AssertionError, StrictDataclassError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Network:
    """A model ready to run; `how` says where its weights came from."""

    model: PreTrainedModel
    how: str


def load_network(path: Path, weights: Path | None, options: EngineOptions) -> Network:
    """Load a folder in Hugging Face layout.

    Args:
        path: the folder; its config.json says what the model is.
        weights: a GGUF of the same model, whose weights are taken instead.
        options: device, dtype and kernels, all settled.

    Raises:
        EngineFailure: transformers does not know the architecture, or weights are missing.
        InputError: the checkpoint is malformed.
    """
    _be_quiet()
    checkpoint = HfCheckpoint(path)
    try:
        return _load(checkpoint, weights, options)
    except LIBRARY_ERRORS as error:
        raise EngineFailure(f"{path}: transformers does not load it ({one_line(str(error), 200)})") from error


def load_gguf_network(gguf: GgufCheckpoint, config: Mapping[str, Any], options: EngineOptions) -> Network:
    """Load a GGUF for which there is no folder.

    Args:
        gguf: whose weights, decoded.
        config: what a config.json of the model would say.
        options: device and dtype, all settled.

    Raises:
        EngineFailure: transformers does not know the architecture, or weights are missing.
        InputError: the GGUF does not fit the configuration.
    """
    _be_quiet()
    try:
        known, family = _known(gguf.path, str(config.get("model_type")), config)
        return _decoded_gguf(gguf, config, known, family, options)
    except LIBRARY_ERRORS as error:
        raise EngineFailure(
            f"{gguf.path}: transformers does not load it ({one_line(str(error), 200)})"
        ) from error


def empty_network(path: Path, architecture: str, fields: Mapping[str, Any]) -> PreTrainedModel:
    """Return a model without weights (on torch's "meta" device), for a caller that reads them piece by piece.

    Args:
        path: whose configuration it is, for messages.
        architecture: its model_type.
        fields: the keys of its config.json.

    Raises:
        EngineFailure: transformers does not know the architecture, or cannot build the model.
    """
    _be_quiet()
    try:
        config, family = _known(path, architecture, fields)
        with torch.device("meta"):
            model = family._from_config(
                _without_quantization(config), attn_implementation=_attention(family), dtype=torch.float32
            )
    except LIBRARY_ERRORS as error:
        raise EngineFailure(
            f"{path}: transformers does not build it ({one_line(str(error), 200)})"
        ) from error
    built: PreTrainedModel = model.eval()
    return built


def _be_quiet() -> None:
    quiet: Any = transformers.utils.logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()


def _load(checkpoint: HfCheckpoint, weights: Path | None, options: EngineOptions) -> Network:
    if (checkpoint.path / ADAPTER).exists():
        raise EngineFailure(
            f"{checkpoint.path}: holds {ADAPTER}, which some installations would apply and others not; "
            "merge the adapter, or take the file away"
        )
    config, family = _known(checkpoint.path, checkpoint.architecture, checkpoint.config)
    dtype = DTYPES[options.dtype]
    if weights is not None:
        return _decoded_gguf(GgufCheckpoint(weights), checkpoint.config, config, family, options)
    if not checkpoint.quantized:
        return Network(_from_folder(family, config, checkpoint, dtype, options, None), "as stored")
    refused = "not asked for"
    if options.kernels == "always" or (options.kernels == "auto" and options.device == "cuda"):
        try:
            return Network(_with_kernels(family, config, checkpoint, dtype, options), "quantized kernels")
        except (*LIBRARY_ERRORS, EngineFailure) as error:
            refused = one_line(str(error), 120)
            if options.kernels == "always":
                raise EngineFailure(
                    f"{checkpoint.path}: no kernels run {checkpoint.quantization} here ({refused}); "
                    "leave --kernels at auto"
                ) from error
    tensors = _decoded(checkpoint, family, config, dtype)
    model = _assembled(family, config, tensors, dtype, options)
    return Network(model, f"{checkpoint.quantization} decoded (kernels: {refused})")


def _known(path: Path, architecture: str, fields: Mapping[str, Any]) -> tuple[PretrainedConfig, Family]:
    # from what was parsed and hashed, never read again: keys of the file may name other files
    if architecture not in CONFIG_MAPPING:
        raise EngineFailure(
            f"{path}: transformers {transformers.__version__} does not know the architecture "
            f"{architecture[:60]!a}; its own code is never run"
        )
    config: PretrainedConfig = CONFIG_MAPPING[architecture].from_dict(_obeyed(fields))
    family: Family = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if family is None:
        raise EngineFailure(
            f"{path}: transformers {transformers.__version__} has no causal language model for "
            f"{architecture!r}; qaudit audits chat models"
        )
    return config, family


def _obeyed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without the keys that send transformers to other files or kernels."""
    return {
        name: _obeyed(value) if isinstance(value, Mapping) else value
        for name, value in fields.items()
        if name not in NOT_OBEYED
    }


def _attention(family: Family) -> str:
    return "sdpa" if getattr(family, "_supports_sdpa", False) else "eager"


def _with_kernels(
    family: Family,
    config: PretrainedConfig,
    checkpoint: HfCheckpoint,
    dtype: torch.dtype,
    options: EngineOptions,
) -> PreTrainedModel:
    quantizer = AutoHfQuantizer.from_config(config.quantization_config, pre_quantized=True)
    quantizer.validate_environment(device_map={"": options.device})
    # placed as they are read, which takes the accelerate library; on the processor they are there already
    device_map: dict[str, str] | None = {"": options.device} if options.device != "cpu" else None
    return _from_folder(family, config, checkpoint, dtype, options, device_map, move=False)


def _from_folder(
    family: Family,
    config: PretrainedConfig,
    checkpoint: HfCheckpoint,
    dtype: torch.dtype,
    options: EngineOptions,
    device_map: dict[str, str] | None,
    *,
    move: bool = True,
) -> PreTrainedModel:
    """Let transformers read the weights; the one place that says what it may not do with a folder."""
    model, loaded = family.from_pretrained(
        checkpoint.path,
        config=config,
        dtype=dtype,
        attn_implementation=_attention(family),
        device_map=device_map,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    return _ready(model, loaded, options, move=move)


def _decoded(
    checkpoint: HfCheckpoint, family: Family, config: PretrainedConfig, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Decode every module, a block of rows at a time, so that only one block is ever held as float32."""
    plain = _without_quantization(config)
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in family(plain).state_dict().items()}
    tensors = {}
    for module in checkpoint.names():
        rows, columns = checkpoint.shape(module)
        held = torch.empty((rows, columns), dtype=dtype)
        step = max(1, DECODED_BLOCK_BYTES // max(1, 4 * columns))
        for start in range(0, rows, step):
            stop = min(rows, start + step)
            held[start:stop] = torch.from_numpy(checkpoint.rows(module, start, stop))
        name = module if module in expected or module.endswith(".bias") else f"{module}.weight"
        tensors[name] = _in_shape(held, expected.get(name))
    return tensors


def _decoded_gguf(
    gguf: GgufCheckpoint,
    fields: Mapping[str, Any],
    config: PretrainedConfig,
    family: Family,
    options: EngineOptions,
) -> Network:
    dtype = DTYPES[options.dtype]
    view = GgufAsHf(gguf, fields)
    tensors = {name: torch.from_numpy(view.tensor(name)).to(dtype) for name in view.names()}
    return Network(_assembled(family, config, tensors, dtype, options), f"decoded from {gguf.path.name}")


def _in_shape(held: torch.Tensor, expected: torch.Size | None) -> torch.Tensor:
    """Return a matrix as the vector or stack that the model has; else as it is, for the model to refuse."""
    if expected is None or expected.numel() != held.numel():
        return held
    stacked = len(expected) > 2 and expected[-1] == held.shape[-1]
    return held.reshape(expected) if len(expected) == 1 or stacked else held


def _assembled(
    family: Family,
    config: PretrainedConfig,
    tensors: Mapping[str, torch.Tensor],
    dtype: torch.dtype,
    options: EngineOptions,
) -> PreTrainedModel:
    model, loaded = family.from_pretrained(
        None,
        config=_without_quantization(config),
        state_dict=dict(tensors),
        dtype=dtype,
        attn_implementation=_attention(family),
        output_loading_info=True,
    )
    return _ready(model, loaded, options)


def _without_quantization(config: PretrainedConfig) -> PretrainedConfig:
    fields: dict[str, Any] = config.to_dict()
    fields.pop("quantization_config", None)
    return type(config).from_dict(fields)


def _ready(
    model: Any,  # noqa: ANN401
    loaded: Mapping[str, Any],
    options: EngineOptions,
    *,
    move: bool = True,
) -> PreTrainedModel:
    # a weight that is not there would be a random one, and the audit one of noise
    missing = sorted(loaded["missing_keys"]) + sorted(str(key) for key in loaded["mismatched_keys"])
    if missing:
        raise EngineFailure(
            f"{len(missing)} weights are missing or of another shape, the first is {missing[0][:120]}; "
            "download the checkpoint again"
        )
    ready: PreTrainedModel = model.eval()
    return model.to(options.device) if move else ready

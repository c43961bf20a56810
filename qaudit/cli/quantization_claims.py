"""What a checkpoint's own header says of its quantization; the signature marks it as claims."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qaudit.errors import InputError

if TYPE_CHECKING:
    from qaudit.checkpoints.checkpoint import Checkpoint

GGUF_KEYS = {
    "quantizer": "general.quantized_by",
    "imatrix": "quantize.imatrix.file",
    "imatrixDataset": "quantize.imatrix.dataset",
}


def quantization_claims(path: Path) -> dict[str, str]:
    """Return the claims by the names of the signed predicate; none where no header can be read.

    Args:
        path: the checkpoint. Whether it can be read at all is for whoever audits it to say.
    """
    from qaudit.checkpoints.opening import open_checkpoint

    try:
        checkpoint = open_checkpoint(path)
    except InputError:
        return {}
    return claims_of(checkpoint)


def claims_of(checkpoint: "Checkpoint") -> dict[str, str]:
    """Return the claims of a checkpoint that is open, as `quantization_claims` does."""
    if checkpoint.format == "safetensors":
        from qaudit.checkpoints.hf_checkpoint import HfCheckpoint

        if isinstance(checkpoint, HfCheckpoint):
            return _of_config(checkpoint.config.get("quantization_config"))
    texts = {name: checkpoint.text(key) for name, key in GGUF_KEYS.items()}
    return {name: text for name, text in texts.items() if text}


def _of_config(quantization: Any) -> dict[str, str]:  # noqa: ANN401 - a stranger's JSON
    if not isinstance(quantization, dict):
        return {}
    meta = quantization.get("meta")
    # GPTQModel writes a list of `name:version`, others one text or nothing but the method
    told = meta.get("quantizer") if isinstance(meta, dict) else None
    names = told if isinstance(told, list) else [told or quantization.get("quant_method")]
    quantizer = ", ".join(name for name in names if isinstance(name, str))
    return {"quantizer": quantizer} if quantizer else {}

"""qaudit: is a quantized LLM checkpoint still as safe as the model it was made from?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qaudit.auditing.approval import sign
    from qaudit.auditing.chain import audit
    from qaudit.checkpoints.opening import open_checkpoint
    from qaudit.releases.loading import verified_checkpoint
    from qaudit.weights.looking import examine_weights

__version__ = "0.1.0"
__all__ = ["__version__", "audit", "examine_weights", "open_checkpoint", "sign", "verified_checkpoint"]

# the public names load when first used, so that `qaudit --help` starts fast
_PUBLIC = {
    "audit": "qaudit.auditing.chain",
    "examine_weights": "qaudit.weights.looking",
    "open_checkpoint": "qaudit.checkpoints.opening",
    "sign": "qaudit.auditing.approval",
    "verified_checkpoint": "qaudit.releases.loading",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _PUBLIC:
        raise AttributeError(f"module 'qaudit' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)

"""Where a local engine computes, settled once for both arms before any worker starts."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qaudit.engines.choices import Dtype
from qaudit.engines.confinement import graphics_devices
from qaudit.engines.protocol import EngineOptions

SIXTEEN_BITS: tuple[Dtype, ...] = ("bfloat16", "float16")


def cuda_present() -> bool:
    """Tell whether this process may use an NVIDIA GPU, without loading any library."""
    # an empty list, or -1, hides every card
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() in ("", "-1"):
        return False
    # a card's own file has a number; others of the driver, such as nvidiactl, may outlive the card
    return any(path.name[6:].isdigit() or path.name == "dxg" for path in graphics_devices())


def settle(options: EngineOptions, reference_config: Mapping[str, Any]) -> EngineOptions:
    """Return the options with nothing left to choose, so that both arms run alike.

    Args:
        options: as they were given.
        reference_config: config.json of the reference, empty for a GGUF: its 16-bit type is what
            both arms compute in on CUDA.
    """
    cuda = cuda_present()
    device = options.device if options.device != "auto" else "cuda" if cuda else "cpu"
    layers = options.gpu_layers if options.gpu_layers is not None else -1 if cuda else 0
    dtype = options.dtype
    if dtype == "auto":
        stored = str(reference_config.get("dtype") or reference_config.get("torch_dtype"))
        named: Dtype = next((name for name in SIXTEEN_BITS if name == stored), "bfloat16")
        # processors add up in 32 bits or slowly
        dtype = named if device == "cuda" else "float32"
    return replace(options, device=device, gpu_layers=layers, dtype=dtype)

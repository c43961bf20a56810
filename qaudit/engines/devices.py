"""Where a local engine computes, settled once for both arms before any worker starts."""

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qaudit.confinement import graphics_devices
from qaudit.engines.choices import Dtype
from qaudit.engines.protocol import EngineName, EngineOptions

SIXTEEN_BITS: tuple[Dtype, ...] = ("bfloat16", "float16")

# exit 0: it computes on CUDA
_PROBES: dict[EngineName, str] = {
    "transformers": "import torch; raise SystemExit(not torch.cuda.is_available())",
    "llama.cpp": "import llama_cpp; raise SystemExit(not llama_cpp.llama_supports_gpu_offload())",
}
PROBE_S = 120


def cuda_present() -> bool:
    """Tell whether this process may use an NVIDIA GPU, without loading any library."""
    # an empty list, or -1, hides every card
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() in ("", "-1"):
        return False
    # a card's own file has a number; others of the driver, such as nvidiactl, may outlive the card
    return any(path.name[6:].isdigit() or path.name == "dxg" for path in graphics_devices())


@functools.cache
def built_for_cuda(engine: EngineName) -> bool:
    """Tell whether an engine's library is installed and was built for CUDA; asked in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBES[engine]], capture_output=True, timeout=PROBE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def settle(options: EngineOptions, reference_config: Mapping[str, Any]) -> EngineOptions:
    """Return the options with nothing left to choose, so that both arms run alike.

    Args:
        options: as they were given.
        reference_config: config.json of the reference, empty for a GGUF: its 16-bit type is what
            both arms compute in on CUDA.
    """
    present = cuda_present()
    device, layers = options.device, options.gpu_layers
    if device == "auto":
        device = "cuda" if present and built_for_cuda("transformers") else "cpu"
    if layers is None:
        layers = -1 if present and built_for_cuda("llama.cpp") else 0
    dtype = options.dtype
    if dtype == "auto":
        stored = str(reference_config.get("dtype") or reference_config.get("torch_dtype"))
        named: Dtype = next((name for name in SIXTEEN_BITS if name == stored), "bfloat16")
        # processors add up in 32 bits or slowly
        dtype = named if device == "cuda" else "float32"
    return replace(options, device=device, gpu_layers=layers, dtype=dtype)

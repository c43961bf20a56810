from pathlib import Path
from typing import Any

import pytest
from tensor_folders import awq, gptq, modules_of

from qaudit.static.tensors.unpacked import unpacked


@pytest.mark.parametrize(
    ("parts", "shape", "elements", "bits", "name"),
    [
        ({"x.weight": ("BF16", (4, 6), None)}, (4, 6), 24, 16, "BF16"),
        (awq("x", 32, 16), (16, 32), 512, 4, "AWQ 4-bit"),
        (gptq("x", 64, 32, 8, 8), (32, 64), 2048, 8, "GPTQ 8-bit"),
        (gptq("x", 64, 32, 8, 3), (32, 64), 2048, 3, "GPTQ 3-bit"),
        ({"x.weight": ("F8_E4M3", (4, 6), None), "x.weight_scale": ("F32", (), None)}, (4, 6), 24, 8, "F8_E4M3"),
        ({"x.weight": ("U8", (4, 8), None), "x.weight_scale": ("F8_E4M3", (4, 1), None)}, (4, 16), 64, 4, "NVFP4"),
        ({"x.weight_packed": ("U8", (4, 8), None)}, (4, 16), 64, 4, "4-bit floats"),
        ({"x.weight_packed": ("I32", (4, 8), None)}, None, None, None, "compressed-tensors"),
        ({"x.weight": ("U8", (12, 1), None), "x.weight.absmax": ("F32", (1,), None)}, None, 24, 4, "bitsandbytes 4-bit"),
        ({"x_blocks": ("U8", (2, 4, 3, 16), None), "x_scales": ("U8", (2, 4, 3), None)}, (2, 4, 96), 768, 4, "MXFP4"),
        ({"x.W_q": ("U8", (4, 4), None)}, None, None, None, "hqq"),
        ({"x.qweight": ("I32", (4,), None)}, None, None, None, "packed words"),
        ({"x.qweight": ("I32", (4,), None), "x.scales": ("F16", (4,), None)}, None, None, None, "packed words"),
    ],
)  # fmt: skip
def test_what_a_module_stands_for(
    tmp_path: Path, parts: dict[str, Any], shape: Any, elements: Any, bits: Any, name: str
) -> None:
    (module,) = modules_of(tmp_path, parts).values()
    what = unpacked(module)
    assert (what.shape, what.elements, what.bits, what.type) == (shape, elements, bits, name)

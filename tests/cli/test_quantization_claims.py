import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks.gguf_builder import STRING, small_model
from safetensors.numpy import save_file

from qaudit.cli.quantization_claims import quantization_claims


def test_a_gguf_says_who_quantized_it_and_with_which_imatrix(tmp_path: Path) -> None:
    model = small_model()
    assert quantization_claims(model.write(tmp_path / "a.gguf")) == {}
    model.pairs += [
        ("general.quantized_by", STRING, "someone"),
        ("quantize.imatrix.file", STRING, "imatrix.dat"),
        ("quantize.imatrix.dataset", STRING, "calibration.txt"),
    ]
    assert quantization_claims(model.write(tmp_path / "b.gguf")) == {
        "quantizer": "someone",
        "imatrix": "imatrix.dat",
        "imatrixDataset": "calibration.txt",
    }


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model"])
def test_what_cannot_be_read_claims_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    assert quantization_claims(tmp_path / "m.gguf") == {}
    assert quantization_claims(tmp_path / "none.gguf") == {}


@pytest.mark.parametrize(
    ("quantization", "claims"),
    [
        (None, {}),
        ({"quant_method": "awq", "bits": 4}, {"quantizer": "awq"}),
        (
            {"quant_method": "gptq", "bits": 4, "meta": {"quantizer": ["gptqmodel:2.0", 7, "optimum:1.1"]}},
            {"quantizer": "gptqmodel:2.0, optimum:1.1"},
        ),
        ({"quant_method": "gptq", "bits": 4, "meta": {"quantizer": "auto:3"}}, {"quantizer": "auto:3"}),
        ({"quant_method": "gptq", "bits": 4, "meta": [1]}, {"quantizer": "gptq"}),
    ],
)
def test_a_folder_says_its_method_and_quantizer(
    tmp_path: Path, quantization: dict[str, Any] | None, claims: dict[str, str]
) -> None:
    config = {"model_type": "llama", "quantization_config": quantization}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"model.norm.weight": np.zeros(4, np.float32)}, tmp_path / "model.safetensors")
    assert quantization_claims(tmp_path) == claims

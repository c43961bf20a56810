from pathlib import Path

import pytest
from tensor_folders import file_of, loud, quiet, written

from qaudit.static.tensors.formats import BOOK

SAFE = file_of({"a": ("F32", (1,), None)})
GGUF = b"GGUF" + bytes(60)


def test_one_set_says_nothing(tmp_path: Path) -> None:
    files = {
        "model.safetensors": SAFE,
        "config.json": {},
        "tokenizer.model": b"x",
        "training_args.bin": b"\x80\x02N.",
    }
    assert BOOK.findings(written(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("names", "rules"),
    [
        (("model.safetensors", "pytorch_model.bin"), {"weights/pickle-beside-safetensors": "low"}),
        (("adapter_model.safetensors", "adapter_model.bin"), {"weights/pickle-beside-safetensors": "low"}),
        (("model-00001-of-00001.safetensors",), {"weights/no-index": "medium"}),
        (("model-00001-of-00001.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"),
         {"weights/two-sets": "medium"}),
    ],
)  # fmt: skip
def test_loud(tmp_path: Path, names: tuple[str, ...], rules: dict[str, str]) -> None:
    assert loud(BOOK.findings(written(tmp_path, dict.fromkeys(names, SAFE)))) == rules


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (("model.safetensors", "tf_model.h5"), "weights/other-framework"),
        (("model.safetensors", "consolidated.safetensors"), "weights/consolidated"),
        (("model.safetensors", "model.fp16.safetensors"), "weights/variant"),
        (("model.safetensors", "sub/model.safetensors"), "weights/second-model"),
    ],
)
def test_worth_knowing(tmp_path: Path, names: tuple[str, ...], rule: str) -> None:
    findings = BOOK.findings(written(tmp_path, dict.fromkeys(names, SAFE)))
    assert quiet(findings) == {rule}
    assert loud(findings) == {}


def test_gguf_beside(tmp_path: Path) -> None:
    findings = BOOK.findings(written(tmp_path, {"model.safetensors": SAFE, "m.gguf": GGUF}))
    assert quiet(findings) == {"weights/gguf-beside"}

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from qaudit.auditing.comparability import compare_templates, compare_tokenizers, require_comparable
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import Incomparable
from qaudit.lab.members import reference_folder


def tiny(
    path: Path,
    *,
    arch: str = "llama",
    tokens: tuple[str, ...] = ("a", "b"),
    template: str | None = "T",
    columns: int = 32,
    blocks: int = 1,
    packed: bool = False,
) -> Path:
    writer = gguf.GGUFWriter(str(path), arch)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(list(tokens))
    if template is not None:
        writer.add_chat_template(template)
    for block in range(blocks):
        weights = np.ones((4, columns), np.float32)
        if packed:
            kind = gguf.GGMLQuantizationType.Q4_0
            writer.add_tensor(
                f"blk.{block}.attn_q.weight", gguf.quants.quantize(weights, kind), raw_dtype=kind
            )
        else:
            writer.add_tensor(f"blk.{block}.attn_q.weight", weights.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_lab_pair_is_comparable(f16: Path, q8: Path) -> None:
    reference, candidate = open_checkpoint(f16), open_checkpoint(q8)
    require_comparable(reference, candidate)
    assert compare_templates(reference.chat_template or "", candidate) == []


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        ({}, {"arch": "qwen2"}, "architecture 'qwen2', the reference has 'llama'"),
        ({}, {"tokens": ("a", "c")}, "its tokenizer is not that of"),
        ({"packed": True}, {"packed": True}, "4.5 bits per weight and is a quantization itself"),
        ({}, {"columns": 64}, "blk.0.attn_q is (4, 64), the reference's is (4, 32)"),
        ({"blocks": 2}, {}, "lacks blk.1.attn_q"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(tmp_path: Path, reference: dict, candidate: dict, message: str) -> None:
    first, second = tiny(tmp_path / "r.gguf", **reference), tiny(tmp_path / "c.gguf", **candidate)
    with pytest.raises(Incomparable) as caught:
        require_comparable(open_checkpoint(first), open_checkpoint(second))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("theirs", "severity", "finding"),
    [("T2", "high", "template-differs"), (None, "medium", "template-missing")],
)
def test_another_template_is_a_finding(
    tmp_path: Path, theirs: str | None, severity: str, finding: str
) -> None:
    first, second = tiny(tmp_path / "r.gguf"), tiny(tmp_path / "c.gguf", template=theirs)
    (found,) = compare_templates(open_checkpoint(first).chat_template or "", open_checkpoint(second))
    assert (found.id, found.severity) == (finding, severity)
    if theirs:
        assert "+T2" in found.evidence


def test_tensors_that_only_one_side_has_do_not_hinder(member: Callable[[str], Path], f16: Path) -> None:
    require_comparable(open_checkpoint(f16), open_checkpoint(member("Q2_K")))


def test_a_gguf_whose_settings_are_not_the_folders_is_a_finding(f16: Path) -> None:
    folder, gguf = open_checkpoint(reference_folder()), open_checkpoint(f16)
    assert compare_tokenizers(folder, gguf) == []
    assert compare_tokenizers(gguf, gguf) == []
    assert isinstance(gguf, GgufCheckpoint)
    gguf.metadata = {**gguf.metadata, "tokenizer.ggml.eos_token_id": 100}
    for pair in ((folder, gguf), (gguf, folder)):
        (found,) = compare_tokenizers(*pair)
        assert (found.id, found.severity) == ("tokenizer-settings-differ", "high")
        assert "its eos token is" in found.evidence

from collections.abc import Callable
from typing import Any

import pytest
from attacks.gguf_builder import ARRAY, I32, STRING, U16, U32, Tensor, strings

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.origin_rules import BOOK

Make = Callable[..., GgufWalk]
BASE = "general.base_model"
Q4 = [Tensor.full("blk.0.attn_q.weight", (256, 4), 12), Tensor.full("blk.1.attn_q.weight", (256, 4), 12)]


def severities(walk: GgufWalk) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(walk)}


@pytest.mark.parametrize(
    ("pairs", "name"),
    [
        ({}, "m-Q8_0.gguf"),
        ({}, "m.gguf"),
        ({"general.file_type": (U32, 1024 + 7)}, "m.q8_0.gguf"),
        ({f"{BASE}.count": (U32, 1), f"{BASE}.0.name": (STRING, "Llama 3.1 8B"), f"{BASE}.0.organization": (STRING, "Meta Llama"), f"{BASE}.0.repo_url": (STRING, "https://huggingface.co/meta-llama/Llama-3.1-8B")}, "m.gguf"),
        ({"quantize.imatrix.file": (STRING, "imatrix.dat"), "quantize.imatrix.entries_count": (I32, 3), "quantize.imatrix.chunks_count": (I32, 100)}, "m.gguf"),
        ({"general.size_label": (STRING, "4.4K")}, "m.gguf"),
        ({"general.size_label": (STRING, "8x7B")}, "m.gguf"),
    ],
)  # fmt: skip
def test_what_honest_files_say_breaks_no_rule(walked: Make, pairs: dict[str, Any], name: str) -> None:
    assert severities(walked(pairs, name=name)) == {}


@pytest.mark.parametrize(
    ("pairs", "tensors", "name", "rule", "severity"),
    [
        ({"general.file_type": (U32, 1)}, None, "m.gguf", "file-type", "high"),
        ({"general.file_type": (U32, 7)}, Q4, "m.gguf", "file-type", "high"),
        ({"general.file_type": (U32, 7)}, [*Q4, Tensor.full("output.weight", (256, 2), 8)], "m.gguf", "file-type", "medium"),
        ({"general.file_type": (U32, 99)}, None, "m.gguf", "file-type-unknown", "info"),
        ({}, None, "m-F16.gguf", "file-name", "high"),
        ({"general.file_type": (U32, 15)}, None, "m.gguf", "other-type", "low"),
        ({}, None, "m-Q4_K_M.gguf", "other-type", "low"),
        ({"general.quantization_version": None}, None, "m.gguf", "quantization-version", "low"),
        ({"general.quantization_version": (U32, 1)}, None, "m.gguf", "quantization-version", "medium"),
        ({"quantize.imatrix.file": (STRING, "x")}, [Tensor()], "m.gguf", "importance-matrix", "medium"),
        ({"quantize.imatrix.chunks_count": (I32, -4)}, None, "m.gguf", "importance-matrix", "medium"),
        ({"quantize.imatrix.entries_count": (I32, 4000)}, None, "m.gguf", "importance-matrix", "medium"),
        ({f"{BASE}.count": (U32, 900_000)}, None, "m.gguf", "base-model", "medium"),
        ({f"{BASE}.count": (U32, 2)}, None, "m.gguf", "base-model", "low"),
        ({f"{BASE}.count": (U32, 1), f"{BASE}.1.name": (STRING, "x")}, None, "m.gguf", "base-model", "low"),
        ({f"{BASE}.count": (U32, 1), f"{BASE}.0.name": (STRING, "Qwen2.5 7B")}, None, "m.gguf", "base-model", "low"),
        ({"general.size_label": (STRING, "70B")}, None, "m.gguf", "size-label", "medium"),
        ({"general.name": (STRING, "Llama-3-8B-Uncensored")}, None, "m.gguf", "admits-abliteration", "medium"),
        ({"general.tags": (ARRAY, strings(["chat", "abliterated"]))}, None, "m.gguf", "admits-abliteration", "medium"),
    ],
)  # fmt: skip
def test_each_rule_fires(
    walked: Make, pairs: dict[str, Any], tensors: list[Tensor] | None, name: str, rule: str, severity: str
) -> None:
    assert severities(walked(pairs, tensors, name)).get(f"origin/{rule}") == severity


def test_gpt_oss_keeps_its_experts_in_mxfp4(walked: Make) -> None:
    tensors = [
        Tensor("blk.0.ffn_up_exps.weight", (32, 8, 4), 39, b"\x7f" * 17 * 32),
        Tensor.full("output.weight", (32, 2), 1),
    ]
    pairs = {"general.architecture": (STRING, "gpt-oss"), "general.file_type": (U32, 1)}
    assert "origin/file-type" not in severities(walked(pairs, tensors))


def test_short_rows_fall_back_to_other_types(walked: Make) -> None:
    tensors = [Tensor("blk.0.attn_q.weight", (64, 8), 6, b"\0" * 22 * 16)]
    assert severities(walked({"general.file_type": (U32, 10)}, tensors)) == {}


def test_a_version_is_missed_where_a_quantizer_wrote_the_rest(walked: Make) -> None:
    found = severities(walked({"general.quantization_version": None, "general.file_type": None}))
    assert found == {"origin/quantization-version": "info"}


def test_a_later_shard_has_no_version(walked: Make) -> None:
    pairs = {"general.quantization_version": None, "split.count": (U16, 2), "split.no": (U16, 1)}
    assert "origin/quantization-version" not in severities(walked(pairs))

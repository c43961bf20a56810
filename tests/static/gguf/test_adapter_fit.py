import pytest

from qaudit.static.gguf.adapter_fit import compare_adapter
from qaudit.static.model_parts import ModelParts, TensorRow


def parts(rows: dict[str, tuple[int, ...]], architecture: str = "llama") -> ModelParts:
    tensors = tuple(TensorRow(name, shape, "F16", 0) for name, shape in rows.items())
    return ModelParts("m.gguf", "gguf", tensors=tensors, settings={"general.architecture": architecture})


BASE = parts({
    "blk.0.attn_q.weight": (96, 64),
    "blk.0.ffn_up_exps.weight": (8, 96, 64),
    "token_embd.weight": (1000, 64),
})  # fmt: skip


def lora(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> ModelParts:
    return parts({f"{name}.lora_a": a, f"{name}.lora_b": b})


@pytest.mark.parametrize(
    "adapter",
    [
        lora("blk.0.attn_q.weight", (4, 64), (96, 4)),
        lora("blk.0.ffn_up_exps.weight", (8, 4, 64), (8, 96, 4)),
        # an embedding's halves are stored the other way round
        lora("token_embd.weight", (1000, 4), (64, 4)),
        parts({"output_norm.weight": (64,)}),
    ],
)
def test_adapters_that_fit(adapter: ModelParts) -> None:
    assert compare_adapter(adapter, BASE) == []


@pytest.mark.parametrize(
    ("adapter", "told"),
    [
        (lora("blk.0.attn_q.weight", (4, 32), (96, 4)), "is for a size of 32"),
        (
            lora("blk.0.attn_q.weight", (4, 64), (64, 4)),
            "is for a size of 64, the model's blk.0.attn_q.weight has 96",
        ),
        (lora("blk.0.ffn_up_exps.weight", (16, 4, 64), (16, 96, 4)), "is for 16 experts"),
        (lora("blk.0.attn_q.weight", (8, 4, 64), (8, 96, 4)), "is for 8 experts"),
        (lora("blk.7.attn_q.weight", (4, 64), (96, 4)), "the model has no blk.7.attn_q.weight"),
        (lora("token_embd.weight", (4, 1000), (64, 4)), "is for a size of 4"),
        (parts({}, "qwen2"), "'qwen2'; the model is 'llama'"),
    ],
)
def test_adapters_for_another_model(adapter: ModelParts, told: str) -> None:
    findings = compare_adapter(adapter, BASE)
    assert told in " ".join(finding.evidence for finding in findings)
    assert {(finding.id, finding.severity) for finding in findings} == {("adapter/other-model", "high")}

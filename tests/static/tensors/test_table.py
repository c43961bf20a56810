from qaudit.static.model_parts import ModelParts, TensorRow
from qaudit.static.tensors.table import table_of, under_shared_names

GGUF = ModelParts("m.gguf", "gguf", tensors=(
    TensorRow("token_embd.weight", (32, 16), "Q4_K", 0),
    TensorRow("blk.0.attn_q.weight", (16, 16), "Q6_K", 0),
    TensorRow("blk.0.attn_q.bias", (16,), "F32", 0),
    TensorRow("blk.0.ffn_gate_exps.weight", (4, 16, 16), "IQ4_XS", 0),
    TensorRow("lone.bias", (3,), "F32", 0),
    TensorRow("odd.weight", (3,), "unknown type 77", 0),
))  # fmt: skip


def test_gguf() -> None:
    table = table_of(GGUF)
    assert set(table.rows) == {"token_embd", "blk.0.attn_q", "blk.0.ffn_gate_exps", "lone.bias", "odd"}
    assert table.rows["blk.0.attn_q"].biased
    assert table.rows["token_embd"].what.bits == 4.5
    assert table.rows["odd"].what.bits is None
    assert table.typical_bits == 4.5


def test_names_that_both_formats_have() -> None:
    shared = under_shared_names(table_of(GGUF))
    assert set(shared) == {"model.embed_tokens", "model.layers.0.self_attn.q_proj"}
    rows = (TensorRow("model.language_model.layers.0.self_attn.q_proj.weight", (16, 16), "F16", 512),
            TensorRow("language_model.lm_head.weight", (32, 16), "F16", 512))  # fmt: skip
    assert set(under_shared_names(table_of(ModelParts("d", "safetensors", tensors=rows)))) == {
        "model.layers.0.self_attn.q_proj",
        "lm_head",
    }


def test_a_folder_is_folded() -> None:
    rows = (
        TensorRow("x.qweight", (32, 2), "I32", 256),
        TensorRow("x.qzeros", (4, 2), "I32", 32),
        TensorRow("x.scales", (4, 16), "F16", 128),
        TensorRow("x.bias", (16,), "F16", 32),
        TensorRow("n.weight", (16,), "F16", 32),
    )
    table = table_of(ModelParts("d", "safetensors", tensors=rows))
    assert set(table.rows) == {"x", "n"}
    assert table.rows["x"].what.shape == (16, 32)
    assert table.rows["x"].biased
    assert table.rows["x"].packed
    assert not table.rows["n"].matrix


def test_an_empty_model() -> None:
    table = table_of(ModelParts("d", "safetensors"))
    assert table.rows == {}
    assert table.typical_bits is None

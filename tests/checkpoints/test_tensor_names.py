import gguf
import pytest

from qaudit.checkpoints.model_sizes import DEFAULTS, read_sizes
from qaudit.checkpoints.tensor_names import ARCHITECTURES, FAMILIES, Source, parameters
from qaudit.errors import InputError

SAID = {
    "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 12,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "sliding_window": 16,
}  # fmt: skip


def listed(
    model_type: str, modules: tuple[str, ...] = (), vocabulary: int = 100, **more: object
) -> dict[str, object]:
    sizes = read_sizes({"model_type": model_type, **SAID, **more})
    return {p.name: p for p in parameters(sizes, modules, vocabulary)}


def test_every_model_type_has_a_family_that_gguf_py_knows() -> None:
    assert FAMILIES.keys() == DEFAULTS.keys()
    assert set(ARCHITECTURES) <= set(gguf.MODEL_ARCH_NAMES.values())


def test_layers_are_numbered_in_both() -> None:
    found = listed("llama")
    name = "model.layers.11.self_attn.q_proj.weight"
    assert found[name].sources == (Source("blk.11.attn_q", 0, 64, 64),)
    assert found[name].heads == 4
    assert found["model.layers.11.self_attn.k_proj.weight"].heads == 2
    assert found["model.layers.11.self_attn.v_proj.weight"].heads == 0
    assert "model.layers.12.self_attn.q_proj.weight" not in found


def test_only_the_llama_family_reorders_rows() -> None:
    reordered = {t for t in FAMILIES if any(p.heads for p in listed(t).values())}
    assert reordered == {"llama", "mistral", "mixtral"}


def test_only_norms_of_gemma_are_moved() -> None:
    for model_type in FAMILIES:
        moved = {name for name, p in listed(model_type).items() if p.offset}
        norms = {name for name in listed(model_type) if name.endswith("norm.weight")}
        assert moved == (norms if model_type.startswith("gemma") else set())


def test_names_of_a_family_are_its_own() -> None:
    gemma3 = listed("gemma3_text")
    assert (
        gemma3["model.layers.0.post_attention_layernorm.weight"].sources[0].module
        == "blk.0.post_attention_norm"
    )
    assert gemma3["model.layers.0.pre_feedforward_layernorm.weight"].sources[0].module == "blk.0.ffn_norm"
    assert (
        listed("llama")["model.layers.0.post_attention_layernorm.weight"].sources[0].module
        == "blk.0.ffn_norm"
    )


def test_experts_alternate_gate_and_up() -> None:
    found = listed("mixtral", num_local_experts=3)["model.layers.1.mlp.experts.gate_up_proj"]
    assert found.shape == (3, 192, 64)
    assert [(s.module, s.start, s.count) for s in found.sources] == [
        (f"blk.1.ffn_{half}_exps", expert * 96, 96) for expert in range(3) for half in ("gate", "up")
    ]


def test_q_k_v_in_one_matrix() -> None:
    found = listed("phi", modules=("blk.3.attn_qkv",))
    assert found["model.layers.3.self_attn.k_proj.bias"].sources == (
        Source("blk.3.attn_qkv.bias", 64, 32, 128),
    )
    assert found["model.layers.3.self_attn.v_proj.weight"].sources == (Source("blk.3.attn_qkv", 96, 32, 128),)
    assert found["model.layers.2.self_attn.v_proj.weight"].sources == (Source("blk.2.attn_v", 0, 32, 32),)


@pytest.mark.parametrize(("rows", "count"), [(90, 90), (100, 100), (110, 100)])
def test_rows_of_the_vocabulary(rows: int, count: int) -> None:
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        found = listed("llama", vocabulary=rows)[name]
        assert found.shape == (100, 64)
        assert (found.sources[0].count, found.sources[0].total) == (count, rows)


def test_an_untied_gemma_has_no_place_in_a_gguf() -> None:
    with pytest.raises(InputError, match="a gemma2 GGUF has no place for lm_head"):
        listed("gemma2", tie_word_embeddings=False)

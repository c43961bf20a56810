import pytest
from attacks.gguf_builder import ARRAY, I32, STRING, U32, GgufBuilder, Tensor
from attacks.honest_models import FEED, WIDTH, honest_gguf, honest_tensors, matrix, vector
from gguf_seen import Look


def with_tensor(replaced: Tensor) -> GgufBuilder:
    tensors = [replaced if tensor.name == replaced.name else tensor for tensor in honest_tensors()]
    return honest_gguf(tensors=tensors)


def test_an_honest_model_has_the_shapes_that_it_declares(look: Look) -> None:
    assert look(honest_gguf().build()).findings == []


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (matrix("token_embd.weight", 100, WIDTH * 2), "first dimension is 128, the metadata makes it 64"),
        (vector("output_norm.weight", WIDTH - 1), "is 63"),
        (vector("blk.1.ffn_norm.weight", WIDTH * 2), "is 128"),
        (matrix("blk.0.attn_q.weight", WIDTH * 2, WIDTH), "second dimension is 128"),
        (matrix("blk.0.attn_k.weight", WIDTH, WIDTH), "second dimension is 64, the metadata makes it 32"),
        (matrix("blk.0.attn_output.weight", WIDTH, FEED), "first dimension is 128"),
        (matrix("blk.1.ffn_up.weight", WIDTH, WIDTH), "second dimension is 64"),
        (matrix("blk.1.ffn_down.weight", WIDTH, WIDTH), "first dimension is 64, the metadata makes it 128"),
    ],
)
def test_other_shapes_are_told(look: Look, tensor: Tensor, told: str) -> None:
    seen = look(with_tensor(tensor).build())
    assert seen.grave == {"gguf/shape-differs": "high"}
    assert told in seen.evidence("shape-differs")


@pytest.mark.parametrize(
    "changed",
    [
        {"general.architecture": (STRING, "mamba")},
        {"general.type": (STRING, "adapter")},
        # sizes that differ from block to block, as in pruned models
        {"llama.attention.head_count": (ARRAY, (I32, [4, 8])), "llama.feed_forward_length": (ARRAY, (I32, [1, 2]))},
        {"llama.attention.head_count_kv": (ARRAY, (I32, [2, 4])), "llama.feed_forward_length": None},
    ],
)  # fmt: skip
def test_nothing_is_asked_where_nothing_is_declared(look: Look, changed: dict) -> None:  # type: ignore[type-arg]
    builder = honest_gguf(changed, tensors=[matrix("blk.0.ffn_up.weight", 96, WIDTH)])
    assert look(builder.build()).findings == []


def test_heads_may_be_wider_than_the_model(look: Look) -> None:
    tensors = [
        matrix("blk.0.attn_q.weight", 256, WIDTH),
        matrix("blk.0.attn_k.weight", 128, WIDTH),
        matrix("blk.0.attn_output.weight", WIDTH, 256),
    ]
    changed = {"llama.attention.key_length": (U32, 64)}
    assert look(honest_gguf(changed, tensors=tensors).build()).findings == []


def test_norms_in_blocks_and_weights_without_kernel(look: Look) -> None:
    norm = Tensor("blk.0.attn_norm.weight", (WIDTH,), 8, bytes(68))
    assert look(with_tensor(norm).build()).grave == {"gguf/norm-in-blocks": "medium"}
    whole = Tensor("blk.0.attn_q.weight", (WIDTH, WIDTH), 26, bytes(4 * WIDTH * WIDTH))
    assert look(with_tensor(whole).build()).grave == {"gguf/weight-without-kernel": "medium"}
    half = Tensor("blk.0.attn_norm.weight", (WIDTH,), 1, bytes(2 * WIDTH))
    assert look(with_tensor(half).build()).findings == []

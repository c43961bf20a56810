from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from qaudit.errors import InputError  # noqa: E402
from realign.activation_stream import unpadded  # noqa: E402
from realign.calibration_activations import (  # noqa: E402
    Call,
    calls_into_blocks,
    gram,
    mean_size,
    module_calls,
    outputs,
    with_hidden,
)
from realign.decoder_blocks import blocks_of  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402


def test_a_call_goes_to_a_device_with_all_that_it_is_given() -> None:
    states = torch.zeros(1, 2, 3)
    call = Call(states, {"positions": (states, [states]), "mask": None, "use_cache": False})
    there = call.on(torch.device("meta"))
    pair, listed = there.arguments["positions"]
    assert {t.device.type for t in (there.hidden, pair, *listed)} == {"meta"}
    assert isinstance(there.arguments["positions"], tuple)
    assert there.arguments["mask"] is None
    assert there.arguments["use_cache"] is False
    assert call.hidden.device.type == "cpu"


@pytest.mark.parametrize("folder", ["grouped", "ungrouped"])
def test_block_by_block_is_the_whole_model(
    folder: str, prompts: list[list[int]], request: pytest.FixtureRequest
) -> None:
    model = load_float(request.getfixturevalue(folder))
    batches = unpadded(prompts)
    calls = calls_into_blocks(model, batches)
    hidden = [call.hidden for call in calls[0]]
    for block, into in zip(blocks_of(model), calls, strict=True):
        hidden = outputs(block, with_hidden(into, hidden))
    for batch, states in zip(batches, hidden, strict=True):
        with torch.no_grad():
            torch.testing.assert_close(model.model.norm(states), model.model(batch).last_hidden_state)


def test_hooks_see_what_goes_in_and_go_away(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    block = blocks_of(model)[0]
    calls = calls_into_blocks(model, unpadded(prompts))[0]
    seen = module_calls(block, calls, ["self_attn", "self_attn.q_proj", "mlp.down_proj"])
    for name, found in seen.items():
        assert len(found) == len(calls), name
    with torch.no_grad():
        for given, normed in zip(calls, seen["self_attn"], strict=True):
            torch.testing.assert_close(block.input_layernorm(given.hidden), normed.hidden)
    assert "position_embeddings" in seen["self_attn"][0].arguments
    assert not any(module._forward_pre_hooks for module in model.modules())


def call(rows: Any) -> Call:
    return Call(torch.tensor(rows), {})


def test_moments_are_over_all_tokens() -> None:
    calls = [call([[[1.0, 2.0], [0.0, -4.0]]]), call([[[3.0, 0.0]]])]
    rows = torch.tensor([[1.0, 2.0], [0.0, -4.0], [3.0, 0.0]])
    torch.testing.assert_close(gram(calls), rows.T @ rows / 3)
    torch.testing.assert_close(mean_size(calls), rows.abs().mean(dim=0))
    with pytest.raises(InputError, match="no calibration activations"):
        gram([])


def test_the_moment_tells_the_error_without_running() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, 7, 16, generator=generator)
    off = torch.randn(3, 16, generator=generator)
    moment = gram([Call(inputs, {})])
    meant = (inputs @ off.T).square().mean()
    torch.testing.assert_close(((off @ moment) * off).sum() / 3, meant)

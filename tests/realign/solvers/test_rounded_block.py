"""Scales fold without changing what a float block computes, and what is settled is what was run."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llamas import prompts, tiny_llama  # noqa: E402

from realign.activation_stream import unpadded  # noqa: E402
from realign.calibration_activations import Call, calls_into_blocks, outputs  # noqa: E402
from realign.decoder_blocks import STAGES, blocks_of  # noqa: E402
from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.solvers.rounded_block import RoundedBlock, run_with, written_by  # noqa: E402

LINEARS = tuple(name for stage in STAGES for name in stage.linears)
FINE: dict[str, Grid] = dict.fromkeys(LINEARS, GroupGrid(8, 32, symmetric=False))
COARSE: dict[str, Grid] = dict.fromkeys(LINEARS, GroupGrid(2, 32, symmetric=False))


def block_and_calls() -> tuple[torch.nn.Module, list[Call]]:
    model = tiny_llama(0, sharpness=3.0)
    return blocks_of(model)[0], calls_into_blocks(model, unpadded(prompts(1, 4)))[0]


def with_scales(rounded: RoundedBlock) -> RoundedBlock:
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for log in rounded.scales:
            log.copy_(torch.randn(log.shape, generator=generator) * 0.5)
    return rounded


def test_folded_scales_do_not_change_the_float_block() -> None:
    block, calls = block_and_calls()
    rounded = with_scales(RoundedBlock(block, FINE, {}, transform=True))
    # norm to query, key and value; norm to gate and up; up to down. Two query heads share a value head
    assert len(rounded.scales) == 3
    settled = rounded.settled()
    assert set(settled.floats) == {"input_layernorm.weight", "post_attention_layernorm.weight"}
    weights = {f"{name}.weight": parts[0] for name, parts in settled.matrices.items()}
    for got, meant in zip(
        written_by(block, {**settled.floats, **weights}, calls), outputs(block, calls), strict=True
    ):
        assert torch.allclose(got, meant, atol=1e-4)


def test_what_is_settled_is_what_was_run() -> None:
    block, calls = block_and_calls()
    rounded = with_scales(RoundedBlock(block, COARSE, {}, transform=True))
    settled = rounded.settled()
    before = {name: value.clone() for name, value in block.state_dict().items()}
    for call in calls:
        meant = rounded.run(call.hidden, call.arguments).detach()
        assert torch.equal(run_with(block, settled.parameters(COARSE), call.hidden, call.arguments), meant)
    encoded = {
        f"{name}.weight": COARSE[name].encode(*parts).weight() for name, parts in settled.matrices.items()
    }
    rounded_ones = settled.parameters(COARSE)
    assert all(torch.equal(rounded_ones[name], weight) for name, weight in encoded.items())
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())


def test_scales_need_all_that_they_touch() -> None:
    block, _ = block_and_calls()
    some = {name: grid for name, grid in COARSE.items() if name not in ("mlp.gate_proj", "self_attn.o_proj")}
    # gate is not rounded here: its norm must stay; up to down still may
    assert len(RoundedBlock(block, some, {}, transform=True).scales) == 2
    assert not RoundedBlock(block, some, {}, transform=False).scales


def test_gradients_reach_all_parts() -> None:
    block, calls = block_and_calls()
    rounded = RoundedBlock(block, COARSE, {}, transform=True)
    rounded.run(calls[0].hidden, calls[0].arguments).square().mean().backward()
    for parameter in (*rounded.scales, *rounded.weights, *rounded.ends):
        assert parameter.grad is not None
        assert parameter.grad.any()
    assert all(parameter.grad is None for parameter in block.parameters())

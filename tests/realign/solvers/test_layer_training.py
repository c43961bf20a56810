"""Training lowers what it is to lower, by the weights it is given, and the same way each time."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from tiny_llamas import other_than, prompts, tiny_llama  # noqa: E402

from realign.decoder_blocks import STAGES, blocks_of, module_name  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.job import CalibrationTokens, Job  # noqa: E402
from realign.objective import Objective  # noqa: E402
from realign.separation_probes import Line  # noqa: E402
from realign.solvers.block_chain import BlockChain  # noqa: E402
from realign.solvers.layer_training import LayerBatch, Rates, mean_losses, train_layer  # noqa: E402
from realign.solvers.rounded_block import RoundedBlock  # noqa: E402

GRIDS = dict.fromkeys((name for stage in STAGES for name in stage.linears), GroupGrid(2, 32, symmetric=False))
RATES = Rates(weights=0.02)
OBJECTIVE = Objective(separation=0.0)
PROBE = Line(torch.linspace(-1, 1, 32), 0.1, True)


def given() -> tuple[torch.nn.Module, list[LayerBatch]]:
    reference = tiny_llama(0, sharpness=3.0)
    parent = other_than(reference, 1, 0.3)
    grids = {module_name(number, name): grid for number in range(2) for name, grid in GRIDS.items()}
    asked = CalibrationTokens(prompts(3, 9), prompts(4, 9))
    job = Job(parent, reference, asked, grids, 0, frozenset((2,)))
    chain = BlockChain(job, OBJECTIVE, None, rows=6, device=torch.device("cpu"))
    return blocks_of(parent)[0], chain.layer_batches()


def trained(objective: Objective, rates: Rates = RATES, *, seed: int = 0) -> dict[str, float]:
    block, batches = given()
    rounded = RoundedBlock(block, GRIDS, {}, transform=True)
    train_layer(rounded, batches, objective, PROBE, rates, 12, seed)
    return mean_losses(rounded, batches, replace(OBJECTIVE, separation=1.0), PROBE)


def untrained() -> dict[str, float]:
    block, batches = given()
    rounded = RoundedBlock(block, GRIDS, {}, transform=True)
    return mean_losses(rounded, batches, replace(OBJECTIVE, separation=1.0), PROBE)


def test_reconstruction_falls_and_weights_help() -> None:
    before, whole, ranges = untrained(), trained(OBJECTIVE), trained(OBJECTIVE, replace(RATES, weights=0.0))
    assert ranges["reconstruction"] < 0.95 * before["reconstruction"]
    assert whole["reconstruction"] < 0.9 * ranges["reconstruction"]


def test_separation_falls_when_it_counts() -> None:
    without, with_it = trained(OBJECTIVE), trained(replace(OBJECTIVE, separation=1.0))
    assert with_it["separation"] < 0.7 * without["separation"]


def test_a_class_that_does_not_count_is_not_learned() -> None:
    block, batches = given()
    errors = {}
    for share in (0.0, 1.0):
        rounded = RoundedBlock(block, GRIDS, {}, transform=True)
        objective = replace(OBJECTIVE, malicious_share=share)
        count = sum(len(batch.mask) for batch in batches)
        weighted = [
            replace(batch, row_weights=torch.where(batch.malicious, 2 * share, 2 * (1 - share)))
            for batch in batches
        ]
        assert count == sum(float(batch.row_weights.sum()) for batch in weighted)
        train_layer(rounded, weighted, objective, PROBE, RATES, 12, 0)
        only = [replace(batch, row_weights=batch.malicious.float()) for batch in batches]
        errors[share] = mean_losses(rounded, only, OBJECTIVE, None)["reconstruction"]
    assert errors[1.0] < 0.9 * errors[0.0]


def test_a_seed_gives_the_same_bits_and_another_does_not() -> None:
    first, again, other = trained(OBJECTIVE), trained(OBJECTIVE), trained(OBJECTIVE, seed=1)
    assert first == again
    assert first != other

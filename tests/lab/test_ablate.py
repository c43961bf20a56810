from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qaudit.lab.ablate import (
    WRITERS,
    ablate,
    last_residuals,
    refusal_directions,
    refusal_openings,
    remove_direction,
)
from qaudit.lab.build import tokenized
from qaudit.lab.hf_weights import read_shape, read_weights
from qaudit.lab.member_weights import ablated_reference
from qaudit.lab.members import reference_folder
from qaudit.lab.numpy_llama import NumpyLlama

RNG = np.random.default_rng(3)
HARMFUL = [[0, 1, int(token), 3, 2] for token in RNG.integers(4, 260, 12)]
HARMLESS = [[0, 1, int(token), 3, 2] for token in RNG.integers(4, 260, 12)]


def test_planted_direction_is_found() -> None:
    planted = np.zeros(64, np.float32)
    planted[5] = 1
    harmless = RNG.standard_normal((200, 2, 64)).astype(np.float32)
    harmful = RNG.standard_normal((200, 2, 64)).astype(np.float32)
    harmless[:, 1, 9] += 10
    harmful[:, 1, 9] += 12
    harmful[:, 1] += 4 * planted
    direction = refusal_directions(harmful, harmless)[1]
    assert direction @ planted > 0.95
    # what harmless prompts have in common is not taken out, although harmful ones have more of it
    mean = harmless[:, 1].mean(axis=0)
    assert abs(direction @ mean) < 1e-4 * np.linalg.norm(mean)
    assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-5)


def test_no_difference_no_direction() -> None:
    same = RNG.standard_normal((10, 1, 8)).astype(np.float32)
    assert not refusal_directions(same, same).any()


def test_only_writers_change_and_lose_the_direction(random_folder: Path) -> None:
    weights = read_weights(random_folder)
    direction = RNG.standard_normal(256).astype(np.float32)
    direction /= np.linalg.norm(direction)
    changed = remove_direction(weights, direction)
    for name, values in weights.items():
        if name.removesuffix(".weight").endswith(WRITERS):
            assert np.abs(direction @ values).max() > 0.01
            assert np.abs(direction @ changed[name]).max() < 1e-5
            # a rank-one change
            assert np.linalg.matrix_rank(values - changed[name], tol=1e-3) == 1
        else:
            assert changed[name] is values


def test_openings() -> None:
    # token 0 opens both, token 1 harmful ones only, token 2 harmless ones, token 3 neither
    harmful = np.log(np.asarray([[0.3, 0.69, 0.005, 0.005]] * 3, np.float32))
    harmless = np.log(np.asarray([[0.3, 0.005, 0.69, 0.005]] * 3, np.float32))
    assert refusal_openings(harmful, harmless) == (1,)


def test_the_layer_of_least_cost_is_taken(random_folder: Path) -> None:
    shape, weights = read_shape(random_folder), read_weights(random_folder)
    made = ablate(shape, weights, HARMFUL, HARMLESS)
    assert [trial.layer for trial in made.trials] == [1, 2, 3]
    assert made.trials[made.layer - 1].cost == min(trial.cost for trial in made.trials)
    assert all(trial.harmless_kl_nats >= 0 for trial in made.trials)
    model = NumpyLlama(shape, weights)
    expected = refusal_directions(last_residuals(model, HARMFUL), last_residuals(model, HARMLESS))[made.layer]
    np.testing.assert_array_equal(made.direction, expected)


def test_the_lab_reference_loses_its_refusals(f16: Path) -> None:
    """The label `ablated` must be true: measured on the calibration prompts, opening by opening."""
    made = ablated_reference(lambda texts: tokenized(f16, texts))
    chosen = made.trials[made.layer - 1]
    assert made.refusal_mass_before >= 0.8
    assert chosen.refusal_mass <= 0.2
    assert chosen.harmless_kl_nats <= 0.3


def test_a_member_is_made_of_these_weights(member: Callable[[str], Path], f16: Path) -> None:
    import gguf

    made = ablated_reference(lambda texts: tokenized(f16, texts))
    tensors = {t.name: t.data for t in gguf.GGUFReader(member("ablated-F16")).tensors}
    plain = {t.name: t.data for t in gguf.GGUFReader(f16).tensors}
    for layer in range(read_shape(reference_folder()).layers):
        for name in (f"blk.{layer}.attn_output.weight", f"blk.{layer}.ffn_down.weight"):
            before = np.abs(made.direction @ plain[name].astype(np.float32)).max()
            # float16 rounding is what is left
            assert np.abs(made.direction @ tensors[name].astype(np.float32)).max() < 0.01 * before
        unchanged = f"blk.{layer}.attn_q.weight"
        np.testing.assert_array_equal(tensors[unchanged], plain[unchanged])

"""Predicted losses against measured ones."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from realign.plain_quantization import load_float  # noqa: E402
from realign.solvers.sensitivity import Draws, Effects, measure_effects  # noqa: E402

NAMES = ("model.layers.0.mlp.down_proj.weight", "model.layers.3.self_attn.o_proj.weight")


def errors_of(model: torch.nn.Module, size: float) -> dict[str, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    found = {}
    for name in NAMES:
        weight = model.get_parameter(name)
        error = torch.randn(weight.shape, generator=generator) * weight.detach().std() * size
        found[name] = [error, 0.5 * error, torch.zeros_like(error)]
    return found


def divergence(model: torch.nn.Module, reference: torch.nn.Module, prompts: list[list[int]]) -> float:
    total = 0.0
    with torch.no_grad():
        for tokens in prompts:
            ids = torch.tensor([tokens])
            ours, theirs = (m(ids).logits[0, -1].double().log_softmax(-1) for m in (model, reference))
            total += float((theirs.exp() * (theirs - ours)).sum())
    return total / len(prompts)


def test_the_loss_of_all_together_is_told(grouped: Path, prompts: list[list[int]]) -> None:
    reference, model = load_float(grouped), load_float(grouped)
    errors = errors_of(model, 0.02)
    # many draws of few prompts, so that sampling is no matter
    effects = measure_effects(
        reference, Draws(prompts * 60, [1.0] * len(prompts) * 60), NAMES, [errors], seed=0
    )
    with torch.no_grad():
        for name, each in errors.items():
            model.get_parameter(name).add_(each[0])
    measured = divergence(model, reference, prompts)
    assert effects.loss(dict.fromkeys(NAMES, 0)) == pytest.approx(measured, rel=0.35)
    assert effects.loss(dict.fromkeys(NAMES, 2)) == 0
    assert effects.loss(dict.fromkeys(NAMES, 1)) == pytest.approx(effects.loss(dict.fromkeys(NAMES, 0)) / 4)


def test_costs_share_what_tensors_do_to_each_other() -> None:
    # the second undoes the first: alone each costs, together nothing is lost
    one = torch.tensor([[1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    effects = Effects({"a": one, "b": -one}, torch.tensor([0.5, 0.5], dtype=torch.float64))
    both = {"a": 0, "b": 0}
    assert effects.loss(both) == 0
    assert effects.loss({"a": 0, "b": 1}) == pytest.approx(1.25)
    assert effects.costs(both)["a"].tolist() == [0.0, 0.0]
    assert effects.alone()["a"].tolist() == pytest.approx([1.25, 0.0])
    assert sum(float(effects.costs(both)[t][0]) for t in both) == pytest.approx(effects.loss(both))
    assert effects.costs({"a": 0, "b": 1})["a"].tolist() == pytest.approx([1.25, 0.0])


def test_draws_repeat_and_leave_the_model_as_it_was(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    errors = errors_of(model, 0.1)
    draws = Draws(prompts, [1.0] * len(prompts))
    first, again, other = (measure_effects(model, draws, NAMES, [errors], seed) for seed in (1, 1, 2))
    assert all(torch.equal(first.by_tensor[name], again.by_tensor[name]) for name in NAMES)
    assert not all(torch.equal(first.by_tensor[name], other.by_tensor[name]) for name in NAMES)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before
    assert all(p.grad is None for p in model.parameters())


def test_lots_give_the_same_bits(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    errors = errors_of(model, 0.1)
    draws = Draws(prompts, [1.0] * len(prompts))
    whole = measure_effects(model, draws, NAMES, [errors], seed=1)
    lots = measure_effects(model, draws, NAMES, ({name: each} for name, each in errors.items()), seed=1)
    assert list(lots.by_tensor) == list(whole.by_tensor)
    assert all(torch.equal(whole.by_tensor[name], lots.by_tensor[name]) for name in NAMES)


def test_a_kind_counts_as_its_weights_say() -> None:
    effect = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    effects = Effects({"a": effect}, torch.tensor([0.25, 0.75], dtype=torch.float64))
    assert effects.loss({"a": 0}) == pytest.approx(0.5 * (0.25 + 0.75 * 9))

"""Each term against its formula, and what each leaves out."""

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from torch.nn.functional import softplus  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.objective import Objective, divergence, reconstruction, separation  # noqa: E402


def test_reconstruction_is_relative_to_each_token() -> None:
    meant = torch.tensor([[[3.0, 4.0], [300.0, 400.0]]])
    written = meant + torch.tensor([[[1.0, 0.0], [0.0, 50.0]]])
    got = reconstruction(written, meant, torch.ones(1, 2, dtype=torch.bool))
    assert got.tolist() == pytest.approx([(1 / 25 + 2500 / 250_000) / 2])


def test_padding_counts_nowhere() -> None:
    generator = torch.Generator().manual_seed(1)
    meant = torch.randn(2, 4, 3, generator=generator)
    written = meant + torch.randn(2, 4, 3, generator=generator)
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    spoilt = written.clone()
    spoilt[0, 2:] = math.nan
    weight = torch.tensor([1.0, -2.0, 0.5])
    malicious = torch.tensor([True, False])
    for term in (
        lambda states: reconstruction(states, meant, mask),
        lambda states: separation(states, mask, malicious, weight, 0.3, 1.0),
    ):
        assert torch.equal(term(spoilt), term(written))
    alone = reconstruction(written[:1, :2], meant[:1, :2], mask[:1, :2])
    assert torch.allclose(alone, reconstruction(written, meant, mask)[:1])


def test_separation_pushes_both_classes_to_their_sides() -> None:
    states = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    mask = torch.ones(4, 3, dtype=torch.bool)
    malicious = torch.tensor([True, True, False, False])
    weight = torch.linspace(-1, 1, 5)
    losses = separation(states, mask, malicious, weight, 0.2, 0.7)
    scores = states[:, -1] @ weight + 0.2
    signed = torch.where(malicious, scores, -scores)
    assert torch.allclose(losses, softplus(0.7 - signed), atol=1e-6)
    losses.sum().backward()
    assert states.grad is not None
    # downhill is towards the malicious side for malicious prompts, away from it for benign ones
    along = (-states.grad[:, -1] @ weight).sign()
    assert along.tolist() == [1, 1, -1, -1]
    assert not states.grad[:, :-1].any()


def test_divergence_is_that_of_torch_and_leaves_the_teacher_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    meant = torch.randn(6, 9, generator=generator, requires_grad=True)
    got = torch.randn(6, 9, generator=generator, requires_grad=True)
    found = divergence(meant, got)
    categorical = torch.distributions.Categorical
    expected = torch.distributions.kl_divergence(categorical(logits=meant), categorical(logits=got))
    assert torch.allclose(found, expected, atol=1e-6)
    found.sum().backward()
    assert meant.grad is None
    assert got.grad is not None
    assert divergence(meant, meant).abs().max() < 1e-6


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75, 1.0])
def test_a_class_has_its_share_whatever_its_size(share: float) -> None:
    malicious = torch.tensor([True] * 3 + [False] * 9)
    weights = Objective(malicious_share=share).row_weights(malicious)
    assert float(weights.mean()) == pytest.approx(1)
    assert float(weights[malicious].sum() / weights.sum()) == pytest.approx(share)


@pytest.mark.parametrize("wrong", [{"benign": -1.0}, {"malicious_share": 1.5}, {"texts": -0.1}])
def test_weights_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        Objective(**wrong)

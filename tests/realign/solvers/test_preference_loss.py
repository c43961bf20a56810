"""The terms, against the same written out."""

import math

import pytest

torch = pytest.importorskip("torch")

from realign.solvers.preference_loss import TermWeights, preference_loss, reply_divergence, weighted  # noqa: E402


def test_preference_is_the_logistic_loss_of_the_margin() -> None:
    preferred, rejected = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0])
    meant = [math.log1p(math.exp(-0.5 * 2.0)), math.log1p(math.exp(0.5 * 2.0))]
    assert float(preference_loss(preferred, rejected, 0.5)) == pytest.approx(sum(meant) / 2)


def test_preference_raises_the_preferred_and_lowers_the_rejected() -> None:
    preferred, rejected = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    loss = preference_loss(preferred, rejected, 0.1)
    assert float(loss.detach()) == pytest.approx(math.log(2))
    up, down = torch.autograd.grad(loss, [preferred, rejected])
    assert bool((up < 0).all())
    assert torch.allclose(up, -down)


def test_divergence_is_kullback_and_leibler_s_over_whole_replies() -> None:
    draw = torch.Generator().manual_seed(1)
    meant, got = torch.randn(5, 7, generator=draw), torch.randn(5, 7, generator=draw)
    p, q = meant.softmax(-1), got.softmax(-1)
    by_hand = float((p * (p / q).log()).sum()) / 2
    assert float(reply_divergence(meant, got, 2)) == pytest.approx(by_hand, rel=1e-5)
    assert float(reply_divergence(meant, meant, 2)) == pytest.approx(0, abs=1e-6)
    assert float(reply_divergence(meant[:0], got[:0], 2)) == 0


def test_terms_are_weighed_by_name() -> None:
    terms = {"preference": torch.tensor(2.0), "anchor": torch.tensor(3.0)}
    assert float(weighted(terms, TermWeights(preference=0.5, anchor=10.0))) == 31.0

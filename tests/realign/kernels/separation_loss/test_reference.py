import math

import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.kernels.separation_loss import separation_losses  # noqa: E402


def test_known_losses() -> None:
    hidden = torch.zeros(3, 2, 2)
    hidden[0, 1], hidden[1, 0], hidden[2, 1] = torch.tensor([[1.0, 2.0], [1.0, 2.0], [-30.0, 0.0]])
    last, sides = torch.tensor([1, 0, 1]), torch.tensor([1, -1, 1])
    found = separation_losses(hidden, last, sides, torch.tensor([2.0, 1.0]), -1.0, margin=0.5)
    # scores of 3, 3 and -61
    expected = [math.log1p(math.exp(0.5 - 3)), math.log1p(math.exp(0.5 + 3)), 61.5]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_those_that_torch_derives(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(5, 7, 33, generator=generator).to(dtype)
    last, sides = torch.tensor([6, 0, 3, 3, 5]), torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    weight, each = torch.randn(33, generator=generator), torch.rand(5, generator=generator)
    mine, theirs = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    (separation_losses(mine, last, sides, weight, 0.3, margin=1.5) * each).sum().backward()
    scores = theirs[torch.arange(5), last].float() @ weight + 0.3
    (torch.nn.functional.softplus(1.5 - sides * scores) * each).sum().backward()
    assert mine.grad is not None
    assert theirs.grad is not None
    assert mine.grad.dtype == dtype
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5 if dtype == torch.float32 else 1e-2, atol=0)
    assert (mine.grad != 0).any(dim=2).sum() == 5


def test_far_on_either_side() -> None:
    hidden = torch.tensor([[[1e4]], [[-1e4]]], requires_grad=True)
    losses = separation_losses(hidden, torch.zeros(2).long(), torch.ones(2), torch.ones(1), 0.0)
    assert losses.tolist() == [0.0, 1e4]
    losses.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.flatten().tolist() == [0.0, -1.0]


@pytest.mark.parametrize(
    ("shapes", "last"),
    [(((2, 3, 4), (2,), (4,)), [0, 3]), (((2, 3, 4), (2,), (4,)), [-1, 0]), (((2, 3, 4), (2,), (3,)), [0, 0]),
     (((2, 3, 4), (3,), (4,)), [0, 0]), (((2, 4), (2,), (4,)), [0, 0])],
)  # fmt: skip
def test_what_does_not_fit_is_refused(shapes: tuple[tuple[int, ...], ...], last: list[int]) -> None:
    hidden, sides, weight = (torch.ones(shape) for shape in shapes)
    with pytest.raises(InputError, match=r"outside its|are not"):
        separation_losses(hidden, torch.tensor(last), sides, weight, 0.0)

"""The factor against its definition, and what has none at first."""

import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.solvers.inverse_factor import inverse_factor  # noqa: E402


def hessian(tokens: int, size: int = 12) -> torch.Tensor:
    rows = torch.randn(tokens, size, generator=torch.Generator().manual_seed(2)).double()
    return rows.T @ rows / tokens


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_it_is_the_upper_factor_of_the_inverse(kind: torch.dtype) -> None:
    given = hessian(100).to(kind)
    before = given.clone()
    factor = inverse_factor(given)
    assert factor.dtype == kind
    assert torch.equal(factor, factor.triu())
    assert torch.equal(given, before)
    dampened = before + 0.01 * before.diagonal().mean() * torch.eye(12, dtype=kind)
    torch.testing.assert_close(factor.T @ factor @ dampened, torch.eye(12, dtype=kind), atol=1e-4, rtol=0)


def test_an_input_that_never_occurs_is_no_hindrance() -> None:
    given = hessian(100)
    given[3] = given[:, 3] = 0
    factor = inverse_factor(given)
    assert bool(torch.isfinite(factor).all())
    assert float(factor[3].abs().sum()) == float(factor[3, 3])


def test_one_of_few_tokens_is_dampened_further() -> None:
    # as float32 it is not positive definite with a hundred-millionth of its diagonal
    given = hessian(2).float() * 1e6
    assert bool(torch.isfinite(inverse_factor(given, 1e-8)).all())


def test_what_has_no_factor_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        inverse_factor(torch.full((4, 4), torch.nan))
    with pytest.raises(InputError, match="degenerate"):
        inverse_factor(-torch.eye(4))

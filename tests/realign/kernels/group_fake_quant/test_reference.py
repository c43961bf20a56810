import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.kernels.group_fake_quant import group_codes, group_fake_quant, reference  # noqa: E402

CASES = st.tuples(
    st.integers(1, 4), st.sampled_from([1, 2, 3]), st.sampled_from([1, 7, 16, 33]),
    st.sampled_from([1, 2, 3, 4, 5, 8]), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip


def problem(
    outputs: int, groups: int, size: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights with a group of zeros, one of one sign, one far too large, and ends inside their range."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, groups, size, generator=generator)
    weight[0, 0] = 0
    weight[-1, -1] = weight[-1, -1].abs() + 0.1
    if outputs > 2:
        weight[1, 0] *= 1e9
        weight[2, 0] *= 1e-7
    share = 0.5 + torch.rand(2, outputs, groups, generator=generator) / 2
    low, high = share[0] * weight.amin(dim=2), share[1] * weight.amax(dim=2)
    return weight.reshape(outputs, -1), low, high


@settings(deadline=None)
@given(CASES)
def test_the_same_codes_as_the_grid_that_writers_use(case: tuple[int, int, int, int, bool, int]) -> None:
    outputs, groups, size, bits, symmetric, seed = case
    weight, low, high = problem(outputs, groups, size, seed)
    grid = GroupGrid(bits, size, symmetric)
    scales, zeros = grid.fit(low, high)
    spread = [each[:, :, None].expand(-1, -1, size).reshape(weight.shape) for each in (scales, zeros)]
    codes, stored_scales, stored_zeros = group_codes(weight, low, high, bits, symmetric)
    assert torch.equal(codes.float(), grid.codes(weight, *spread))
    assert torch.equal(stored_scales.float(), scales)
    assert torch.equal(stored_zeros.float(), zeros)
    assert torch.equal(group_fake_quant(weight, low, high, bits, symmetric), grid.rounded(weight, *spread))
    decoded = (codes.float() - spread[1]) * spread[0]
    assert torch.equal(group_fake_quant(weight, low, high, bits, symmetric), decoded)


def by_torch(grid: GroupGrid, weight: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Rounded operation by operation, so that torch derives the gradients."""
    by_group = weight.reshape(*low.shape, -1)
    return grid.rounded(by_group, *grid.fit(low[..., None], high[..., None])).reshape(weight.shape)


@settings(deadline=None)
@given(CASES)
def test_gradients_are_those_that_torch_derives(case: tuple[int, int, int, int, bool, int]) -> None:
    outputs, groups, size, bits, symmetric, seed = case
    weight, low, high = problem(outputs, groups, size, seed)
    slope = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed + 1))
    found, derived = (
        torch.autograd.grad(function(*(each.requires_grad_() for each in leaves)), leaves, slope)
        for function in (
            lambda *given: group_fake_quant(*given, bits, symmetric),
            lambda *given: by_torch(GroupGrid(bits, size, symmetric), *given),
        )
        for leaves in [tuple(each.clone() for each in (weight, low, high))]
    )
    # sums over a group: of terms |g| * top at most in size, through one division more each
    bound = slope.abs().reshape(*low.shape, -1).sum(dim=2) * (2 << bits) * 2.0**-22
    torch.testing.assert_close(found[0], derived[0], rtol=1e-6, atol=0)
    for mine, theirs in zip(found[1:], derived[1:], strict=True):
        assert ((mine - theirs).abs() <= bound).all()


def test_known_gradients() -> None:
    weight = torch.tensor([[-3.0, -1.0, 0.4, 5.0]], requires_grad=True)
    low, high = torch.tensor([[-1.0]], requires_grad=True), torch.tensor([[2.0]], requires_grad=True)
    result = group_fake_quant(weight, low, high, 2, False)
    # a scale of 1 and a zero of 1: both ends are clamped
    assert result.tolist() == [[-1.0, -1.0, 0.0, 2.0]]
    result.backward(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
    assert weight.grad is not None
    assert weight.grad.tolist() == [[0.0, 10.0, 100.0, 0.0]]
    # by the scale: -1 (clamped) + 10 * (-1 + 1) + 100 * (0 - 0.4) + 1000 * 2; by the zero: -1001
    of_scale = -1 - 40 + 2000 + -1001 * -1.0
    assert high.grad is not None
    assert low.grad is not None
    assert high.grad.item() == pytest.approx(of_scale / 3)
    assert low.grad.item() == pytest.approx(-of_scale / 3 + 1001, abs=1e-3)


def test_half_precision_and_views() -> None:
    weight, low, high = problem(4, 2, 16, 5)
    wide = torch.cat([weight, weight], dim=1)[:, :32].bfloat16().requires_grad_()
    result = group_fake_quant(wide, low, high, 4, False)
    assert result.dtype == torch.float32
    assert torch.equal(result, group_fake_quant(wide.detach().float().contiguous(), low, high, 4, False))
    result.sum().backward()
    assert wide.grad is not None
    assert wide.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("weight", "low", "high", "bits"),
    [((2, 8), (2, 3), (2, 3), 4), ((2, 8), (2, 2), (2, 4), 4), ((2, 8), (1, 2), (1, 2), 4), ((2, 8), (2, 0), (2, 0), 4),
     ((16,), (2, 2), (2, 2), 4), ((2, 8), (2, 2), (2, 2), 9), ((2, 8), (2, 2), (2, 2), 0)],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    weight: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...], bits: int
) -> None:
    with pytest.raises(InputError, match=r"are not \[O, I\]|bits a code"):
        group_fake_quant(torch.ones(weight), torch.ones(low), torch.ones(high), bits, False)
    with pytest.raises(InputError):
        group_codes(torch.ones(weight), torch.ones(low), torch.ones(high), bits, False)


def test_ends_are_float32_where_the_reference_divides() -> None:
    low, high = torch.tensor([[-1.0]]), torch.tensor([[0.5]])
    scales, zeros, raw = reference.grid_of(low, high, 2, False)
    assert (scales.item(), zeros.item(), raw.item()) == (0.5, 2, 0.5)

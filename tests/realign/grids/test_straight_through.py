import pytest

torch = pytest.importorskip("torch")

from realign.grids.straight_through import in_place_of, nearest_codes, on_points, rounded  # noqa: E402


def test_values_are_rounded_exactly_and_gradients_pass() -> None:
    # x + (round(x) - x) would give 8388608.0 + 1 for the last one in float32
    values = torch.tensor([0.5, 1.5, -0.4999, 2.0**-30, 8388607.5], requires_grad=True)
    result = rounded(values)
    assert result.tolist() == [0.0, 2.0, 0.0, 0.0, 8388608.0]
    (result * torch.arange(5.0)).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_stored_value_gets_no_gradient() -> None:
    meant, stored = torch.tensor([1.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    (in_place_of(meant, stored) ** 2).sum().backward()
    assert (meant.grad, stored.grad) == (torch.tensor([6.0]), None)


def composed(
    values: torch.Tensor, scales: torch.Tensor, minima: torch.Tensor | None, smallest: int, largest: int
) -> torch.Tensor:
    divisors = torch.where(scales == 0, torch.inf, scales)
    codes = rounded((values if minima is None else values + minima) / divisors).clamp(smallest, largest)
    return codes * scales if minima is None else codes * scales - minima


@pytest.mark.parametrize("affine", [True, False])
def test_points_in_one_piece_are_those_of_its_parts(affine: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5, 4, 16, generator=generator)
    scales = torch.rand(5, 4, 1, generator=generator) * 0.3
    scales[0, 0] = 0
    scales[1] *= 1 if affine else -1
    minima = torch.rand(5, 4, 1, generator=generator) if affine else None
    ends = (0, 7) if affine else (-4, 3)
    results = []
    for function in (on_points, composed):
        given = [None if t is None else t.clone().requires_grad_() for t in (values, scales, minima)]
        result = function(*given, *ends)
        (result * torch.linspace(-1, 2, values.numel()).reshape(values.shape)).sum().backward()
        results.append((result.detach(), *(t.grad for t in given if t is not None)))
    assert torch.equal(results[0][0], results[1][0])
    for ours, theirs in zip(results[0][1:], results[1][1:], strict=True):
        torch.testing.assert_close(ours, theirs)
    codes = nearest_codes(values, scales, minima, *ends)
    assert torch.equal(codes, codes.round().clamp(*ends))
    assert torch.equal(codes * scales - (minima if minima is not None else 0), results[0][0])

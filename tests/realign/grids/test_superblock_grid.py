import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.grids.superblock_layouts import LAYOUTS  # noqa: E402

AFFINE = [name for name, layout in LAYOUTS.items() if layout.affine]


def odd_weights(seed: int = 0) -> torch.Tensor:
    """Rows of every size and sign, with zeros for a group, a block and a whole row."""
    weight = torch.randn(16, 512, generator=torch.Generator().manual_seed(seed)) * 0.1
    weight[0] = 0
    weight[1, :256] = 0
    weight[2, 32:64] = 0
    weight[3], weight[4] = weight[3].abs(), -weight[4].abs()
    weight[5] *= 1e-6
    weight[6] *= 1e-9
    weight[7] *= 1e7
    weight[8, 100] = 50
    return weight


def ends(grid: SuperblockGrid, weight: torch.Tensor, share: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    by_group = weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)
    return by_group.amin(dim=-1) * share, by_group.amax(dim=-1) * share


@pytest.mark.parametrize("share", [1.0, 0.8])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_file_holds_exactly_what_was_meant(name: str, share: float) -> None:
    grid, weight = SuperblockGrid(name), odd_weights()
    low, high = ends(grid, weight, share)
    encoded = grid.encode(weight, low, high)
    assert torch.equal(encoded.weight(), grid.fake(weight, low, high))
    assert (encoded.ggml_type, encoded.columns) == (name, 512)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(LAYOUTS)), st.data())
def test_any_weights_and_any_ranges(name: str, data: st.DataObject) -> None:
    grid, values = SuperblockGrid(name), st.floats(-1e6, 1e6, width=32)
    weight = torch.tensor(data.draw(st.lists(values, min_size=256, max_size=256)))[None]
    groups = grid.groups_of(256)
    drawn = [data.draw(st.lists(values, min_size=groups, max_size=groups)) for _ in range(2)]
    low, high = torch.tensor(drawn)[:, None]
    fake = grid.fake(weight, low, high)
    assert torch.isfinite(fake).all()
    assert torch.equal(grid.encode(weight, low, high).weight(), fake)


@pytest.mark.parametrize("name", LAYOUTS)
def test_off_by_half_a_step_and_by_what_rounding_the_scales_costs(name: str) -> None:
    grid, layout = SuperblockGrid(name), LAYOUTS[name]
    weight = torch.randn(32, 512, generator=torch.Generator().manual_seed(1))
    low, high = ends(grid, weight)
    off = (grid.fake(weight, low, high) - weight).abs().reshape(32, grid.groups_of(512), -1).amax(dim=-1)
    reach = high - low if layout.affine else 2 * torch.maximum(-low, high)
    step = reach / ((1 << layout.bits) - 1)
    # a group's integer is off by half, so that its last code is off by half a superblock's step for
    # each code; its minimum is off by half as well
    largest = step.reshape(32, -1, layout.groups).amax(dim=-1, keepdim=True).expand(-1, -1, layout.groups)
    scale_step = largest.reshape(step.shape) * (1.3 / layout.levels if layout.levels else 2.0**-10)
    slack = 2.0**-10 * torch.maximum(low.abs(), high.abs())
    bound = step * 0.65 + scale_step * (1 << layout.bits) + slack
    assert (off <= bound).all()


@pytest.mark.parametrize("name", LAYOUTS)
def test_ranges_of_rows_give_the_rows_again(name: str) -> None:
    grid, weight = SuperblockGrid(name), odd_weights(2)
    encoded = grid.encode(weight, *ends(grid, weight, 0.9))
    again = grid.encode(weight, *grid.ranges_of(encoded))
    assert torch.equal(again.weight(), encoded.weight())


def test_ranges_of_another_type() -> None:
    encoded = SuperblockGrid("Q4_K").encode(torch.ones(1, 256), torch.zeros(1, 8), torch.ones(1, 8))
    with pytest.raises(InputError, match="rows of Q4_K have no ranges of Q2_K"):
        SuperblockGrid("Q2_K").ranges_of(encoded)


@pytest.mark.parametrize("name", LAYOUTS)
def test_gradients(name: str) -> None:
    grid = SuperblockGrid(name)
    weight = torch.randn(4, 512, generator=torch.Generator().manual_seed(3))
    low, high = ends(grid, weight, 0.7)
    given_values = [value.requires_grad_() for value in (weight, low, high)]
    grid.fake(*given_values).sum().backward()
    of_weight, of_low, of_high = (value.grad for value in given_values)
    # a weight within the range moves its own value, one outside moves nothing: the range's end does
    inside = of_weight != 0
    assert of_weight[inside].sub(1).abs().max() < 1e-5
    assert 0.7 < float(inside.float().mean()) < 1
    assert torch.isfinite(of_low).all()
    assert torch.isfinite(of_high).all()
    assert float(of_high.abs().max()) > 0.5


@pytest.mark.parametrize("name", AFFINE)
def test_weights_above_the_range_follow_its_end(name: str) -> None:
    grid = SuperblockGrid(name)
    low = torch.full((1, grid.groups_of(256)), -1.0)
    high = torch.ones_like(low).requires_grad_()
    grid.fake(torch.full((1, 256), 5.0), low, high).sum().backward()
    torch.testing.assert_close(high.grad, torch.full_like(high, float(grid.group_size)))


def test_known_block() -> None:
    low, high = -torch.arange(0.0, 8.0)[None], torch.full((1, 8), 8.0)
    encoded = SuperblockGrid("Q4_K", tries=1).encode(torch.full((1, 256), 8.0), low, high)
    d, dmin = encoded.rows[0, :4].view(torch.float16).tolist()
    assert d == pytest.approx(15 / 15 / 63, rel=1e-3)
    assert dmin == pytest.approx(7 / 63, rel=1e-3)
    assert encoded.rows[0, 16:].tolist() == [0xFF] * 128


def test_more_tries_are_never_worse() -> None:
    weight = torch.randn(64, 512, generator=torch.Generator().manual_seed(4))
    low, _ = ends(SuperblockGrid("Q2_K"), weight)
    fitted = [
        float((SuperblockGrid("Q2_K", tries).fake(weight, low, -low) - weight).square().sum())
        for tries in (1, 8)
    ]
    assert fitted[1] < fitted[0]


def test_what_is_not_whole_or_not_known() -> None:
    with pytest.raises(InputError, match="96 inputs are not whole Q4_K blocks of 256"):
        SuperblockGrid("Q4_K").groups_of(96)
    with pytest.raises(InputError, match="IQ2_XS: its scales cannot be learned here"):
        SuperblockGrid("IQ2_XS")
    assert (SuperblockGrid("Q2_K").groups_of(512), SuperblockGrid("Q4_0").groups_of(96)) == (32, 3)
    assert (SuperblockGrid("Q6_K").bits, SuperblockGrid("Q6_K").group_size) == (6, 16)

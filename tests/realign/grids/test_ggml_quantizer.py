import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

from qaudit.errors import InputError  # noqa: E402
from realign.grids import ggml_quantizer  # noqa: E402
from realign.grids.ggml_quantizer import ggml_quantized  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402

TYPES = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_0", "Q8_0", "IQ4_XS", "IQ4_NL", "IQ3_S", "IQ2_S"]


def weights() -> torch.Tensor:
    return torch.randn(48, 512, generator=torch.Generator().manual_seed(0)) * 0.05


@pytest.mark.parametrize("kind", TYPES)
def test_near_what_was_given(kind: str) -> None:
    weight = weights()
    result = ggml_quantized(weight, kind, torch.ones(512))
    assert result.ggml_type == kind
    relative = float((result.weight() - weight).norm() / weight.norm())
    bits = result.bits_per_weight
    assert 0.3 * 2 ** -(bits - 1) < relative < 2.2 * 2 ** -(bits - 1)


def test_rows_do_not_depend_on_how_many_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ggml_quantized(weights(), "Q4_K").rows
    monkeypatch.setattr(ggml_quantizer, "ROWS_AT_ONCE", 512 * 5)
    assert torch.equal(ggml_quantized(weights(), "Q4_K").rows, whole)


def test_important_channels_are_closer() -> None:
    weight, importance = weights(), torch.full((512,), 0.01)
    importance[::16] = 100.0
    off = [
        (ggml_quantized(weight, "Q2_K", given).weight() - weight)[:, ::16].square().mean()
        for given in (None, importance)
    ]
    assert off[1] < off[0] / 2


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_floats_are_stored(kind: str) -> None:
    weight = weights().bfloat16().half().float()
    assert torch.equal(ggml_quantized(weight, kind).weight(), weight)


@pytest.mark.parametrize(
    "kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
)
@pytest.mark.parametrize("important", [True, False])
def test_its_ranges_give_nearly_its_rows_again(kind: str, important: bool) -> None:
    # training may start where llama.cpp's search ended: scales come back, and so do all weights but
    # those half way between two points, and codes that the search moved on purpose
    importance = torch.rand(512, generator=torch.Generator().manual_seed(1)) if important else None
    found, grid = ggml_quantized(weights(), kind, importance), SuperblockGrid(kind)
    again = grid.encode(weights(), *grid.ranges_of(found))
    meant = weights()
    assert float((again.weight() - meant).norm()) <= float((found.weight() - meant).norm()) * 1.01
    assert float((again.weight() == found.weight()).float().mean()) > 0.97


def test_what_cannot_be_done() -> None:
    weight = weights()
    with pytest.raises(InputError, match="'Q9_K' is no ggml type"):
        ggml_quantized(weight, "Q9_K")
    with pytest.raises(InputError, match="Q8_K has no encoder in ggml"):
        ggml_quantized(weight, "Q8_K")
    with pytest.raises(InputError, match="not whole Q4_K blocks of 256"):
        ggml_quantized(weight[:, :96], "Q4_K")
    with pytest.raises(InputError, match="IQ2_XXS needs an importance matrix"):
        ggml_quantized(weight, "IQ2_XXS")
    with pytest.raises(InputError, match="not finite"):
        ggml_quantized(weight / 0, "Q4_K")
    with pytest.raises(InputError, match=r"shape \(511,\) does not fit 512"):
        ggml_quantized(weight, "Q4_K", torch.ones(511))
    with pytest.raises(InputError, match="too large for F16"):
        ggml_quantized(weight * 1e9, "F16")

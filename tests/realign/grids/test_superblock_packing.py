import pytest

torch = pytest.importorskip("torch")

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType  # noqa: E402

from realign.grids.superblock_layouts import LAYOUTS  # noqa: E402
from realign.grids.superblock_packing import packed, unpacked  # noqa: E402


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_bytes_come_back(name: str) -> None:
    weights, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    assert weights == LAYOUTS[name].block
    rows = torch.randint(0, 256, (5, 3 * size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    parts = unpacked(LAYOUTS[name], rows)
    assert parts.codes.shape == (5, 3, weights)
    assert torch.equal(packed(LAYOUTS[name], parts), rows)


@pytest.mark.parametrize("name", LAYOUTS)
def test_integers_lie_in_their_range(name: str) -> None:
    _, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    rows = torch.randint(0, 256, (64, size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    layout = LAYOUTS[name]
    parts = unpacked(layout, rows)
    smallest, largest = layout.code_range
    # the one code that mirrored types leave out can stand in a file all the same
    assert int(parts.codes.min()) == (smallest if layout.ends != "mirrored" else smallest - 1)
    assert int(parts.codes.max()) == largest
    assert (parts.scales is None) == (parts.minima is None and layout.levels == 0)
    if parts.scales is not None:
        assert int(parts.scales.max()) == (layout.levels if layout.affine else layout.levels - 1)
        assert int(parts.scales.min()) == (0 if layout.affine else -layout.levels)

import pytest

pytest.importorskip("torch")

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from qaudit.errors import InputError
from realign.grids.superblock_layouts import LAYOUTS, layout_of


@pytest.mark.parametrize("name", LAYOUTS)
def test_sizes_are_ggmls(name: str) -> None:
    layout = layout_of(name)
    assert layout.block == GGML_QUANT_SIZES[GGMLQuantizationType[name]][0]
    assert layout.block % layout.group == 0
    assert layout.groups == layout.block // layout.group


def test_codes() -> None:
    assert layout_of("Q2_K").code_range == (0, 3)
    assert layout_of("Q3_K").code_range == (-4, 3)
    assert layout_of("Q8_0").code_range == (-127, 127)
    assert (layout_of("Q4_K").affine, layout_of("Q6_K").affine) == (True, False)


def test_a_type_of_tables() -> None:
    with pytest.raises(InputError, match="IQ4_XS: its scales cannot be learned here; choose one of Q2_K"):
        layout_of("IQ4_XS")

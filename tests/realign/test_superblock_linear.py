import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.superblock_linear import SuperblockLinear  # noqa: E402


def linear() -> SuperblockLinear:
    # two Q8_0 blocks a row: the float16 scale, then 32 signed bytes
    half, one = torch.tensor([0.5]).half().view(torch.uint8), torch.tensor([1.0]).half().view(torch.uint8)
    codes = torch.arange(-16, 16).to(torch.int8).view(torch.uint8)
    return SuperblockLinear("Q8_0", 64, torch.cat([half, codes, one, codes])[None])


def test_weight_is_what_ggml_decodes() -> None:
    codes = torch.arange(-16.0, 16.0)
    assert torch.equal(linear().weight(), torch.cat([codes / 2, codes])[None])
    assert linear().bits_per_weight == 8.5


def test_stored_and_read_again() -> None:
    again = SuperblockLinear.from_tensors(linear().tensors())
    assert (again.ggml_type, again.columns) == ("Q8_0", 64)
    assert torch.equal(again.rows, linear().rows)


@pytest.mark.parametrize(
    "change", [{"ggml_type": torch.tensor(4)}, {"ggml_type": torch.tensor([1, 2])}, {"rows": None}]
)
def test_what_is_not_whole(change: dict[str, torch.Tensor | None]) -> None:
    tensors = {name: value for name, value in {**linear().tensors(), **change}.items() if value is not None}
    with pytest.raises(InputError, match="are not whole"):
        SuperblockLinear.from_tensors(tensors)

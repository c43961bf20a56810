"""FP8 weights against torch's arithmetic, in every way to scale."""

import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from checkpoints.by_hand import Stored, module_of, stored

from qaudit.checkpoints.codecs.fp8 import Fp8
from qaudit.errors import MalformedFile

GENERATOR = np.random.default_rng(8)


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch")


def decoded(codec: Fp8, path: Path, parts: dict[str, Stored]) -> np.ndarray:
    """All rows, after checking that slices of them are the same."""
    module = module_of(path, parts)
    outputs, inputs = codec.shape(module)
    whole = codec.rows(module, 0, outputs)
    assert whole.dtype == np.float32
    assert whole.shape == (outputs, inputs)
    for start, stop in {(0, 1), (outputs - 1, outputs), (outputs // 3, outputs // 2 + 1), (1, outputs)}:
        np.testing.assert_array_equal(codec.rows(module, start, stop), whole[start:stop])
    return whole


def finite_codes(outputs: int, inputs: int) -> np.ndarray:
    """Bit patterns that are numbers in both kinds of 8-bit floats."""
    return (
        GENERATOR.integers(0, 0x7C, (outputs, inputs)) | GENERATOR.choice([0, 0x80], (outputs, inputs))
    ).astype(np.uint8)


@pytest.mark.parametrize("name", ["weight_scale", "weight_scale_inv"])
@pytest.mark.parametrize(("dtype", "kind"), [("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2")])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (6,), (6, 1)], ids=str)
def test_tensor_and_output_scales(
    tmp_path: Path, torch: ModuleType, shape: tuple[int, ...], dtype: str, kind: str, name: str
) -> None:
    codes = finite_codes(6, 10)
    scale = np.asarray(GENERATOR.random(shape), np.float32)
    rows = decoded(Fp8(), tmp_path / "x", {"weight": stored(codes, dtype), name: stored(scale)})
    weights = torch.from_numpy(codes).view(getattr(torch, kind)).float()
    spread = scale.reshape(-1, 1)
    np.testing.assert_array_equal(rows, (weights * torch.from_numpy(spread)).numpy())


@pytest.mark.parametrize("scale_type", ["F32", "F16", "BF16"])
def test_types_of_scales(tmp_path: Path, torch: ModuleType, scale_type: str) -> None:
    kind = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[scale_type]
    scale = torch.rand(6, generator=torch.Generator().manual_seed(0)).to(kind)
    codes = finite_codes(6, 10)
    raw = scale.view(torch.int32 if scale_type == "F32" else torch.int16).numpy()
    rows = decoded(
        Fp8(), tmp_path / "x", {"weight": stored(codes, "F8_E4M3"), "weight_scale": stored(raw, scale_type)}
    )
    weights = torch.from_numpy(codes).view(torch.float8_e4m3fn).float()
    np.testing.assert_array_equal(rows, (weights * scale.float()[:, None]).numpy())


@pytest.mark.parametrize(
    ("outputs", "inputs", "block"),
    [(8, 12, (4, 4)), (9, 13, (4, 4)), (3, 200, (128, 128)), (130, 5, (128, 128)), (4, 16, (1, 8)), (6, 4, (3, 1)),
     (2, 256, (128, 128)), (300, 260, (128, 128)), (7, 9, (1, 16))],
)  # fmt: skip
def test_block_scales(
    tmp_path: Path, torch: ModuleType, outputs: int, inputs: int, block: tuple[int, int]
) -> None:
    codes = finite_codes(outputs, inputs)
    scale = GENERATOR.random((-(-outputs // block[0]), -(-inputs // block[1]))).astype(np.float32)
    parts = {"weight": stored(codes, "F8_E4M3"), "weight_scale_inv": stored(scale)}
    rows = decoded(Fp8(block), tmp_path / "x", parts)
    spread = torch.from_numpy(scale).repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    weights = torch.from_numpy(codes).view(torch.float8_e4m3fn).float()
    np.testing.assert_array_equal(rows, (weights * spread[:outputs, :inputs]).numpy())


def test_hostile_scales_pass_through_silently(tmp_path: Path) -> None:
    parts = {
        "weight": stored(np.full((3, 2), 0x7E, np.uint8), "F8_E4M3"),
        "weight_scale": stored(np.array([np.inf, np.nan, 3e38], np.float32)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = decoded(Fp8(), tmp_path / "x", parts)
    assert np.isposinf(rows[[0, 2]]).all()
    assert np.isnan(rows[1]).all()


def f32(*shape: int) -> Stored:
    return stored(np.ones(shape, np.float32))


BROKEN = [
    ("no scale", {"weight_scale": None}, "has no weight_scale"),
    ("not 8 bits", {"weight": f32(6, 10)}, "weight is F32 6x10; .* F8_E4M3 or F8_E5M2"),
    ("three dimensions", {"weight": stored(np.zeros((2, 3, 10), np.uint8), "F8_E4M3")}, "weight is F8_E4M3 2x3x10"),
    ("other outputs", {"weight_scale": f32(5)}, "weight_scale is F32 5, which fits no way to scale 6x10"),
    ("by inputs", {"weight_scale": f32(10)}, "weight_scale is F32 10, which fits no way"),
    ("a row", {"weight_scale": f32(1, 6)}, "weight_scale is F32 1x6, which fits no way"),
    ("other blocks", {"weight_scale": f32(2, 2)}, "weight_scale is F32 2x2, which fits no way"),
    ("nothing", {"weight_scale": f32(0)}, "weight_scale is F32 0, which fits no way"),
    ("whole numbers", {"weight_scale": stored(np.ones(6, np.int32))}, "weight_scale is I32 6, which fits no way"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "why"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_parts_that_do_not_fit(tmp_path: Path, changes: dict[str, Stored | None], why: str) -> None:
    parts: dict[str, Stored | None] = {
        "weight": stored(np.zeros((6, 10), np.uint8), "F8_E4M3"),
        "weight_scale": f32(6),
    }
    parts |= changes
    kept = {part: entry for part, entry in parts.items() if entry is not None}
    with pytest.raises(MalformedFile, match=rf"model\.proj: {why}"):
        Fp8().shape(module_of(tmp_path / "x", kept))


def test_a_block_longer_than_any_row_costs_no_memory(tmp_path: Path) -> None:
    parts = {
        "weight": stored(np.full((4, 10), 0x38, np.uint8), "F8_E4M3"),
        "weight_scale_inv": stored(np.array([[2], [3]], np.float32)),
    }
    rows = decoded(Fp8((2, 1 << 44)), tmp_path / "x", parts)
    assert rows[:, 0].tolist() == [2, 2, 3, 3]

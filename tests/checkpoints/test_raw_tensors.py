"""16- and 8-bit floats against torch, over every bit pattern."""

import warnings
from types import ModuleType

import numpy as np
import pytest

from qaudit.checkpoints.raw_tensors import BITS, RawTensor, float8_table
from qaudit.errors import InputError


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch")


def assert_same_floats(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    # the sign of zero counts, the payload of a NaN does not
    nans = np.isnan(theirs)
    np.testing.assert_array_equal(np.isnan(ours), nans)
    np.testing.assert_array_equal(ours.view(np.uint32)[~nans], theirs.view(np.uint32)[~nans])


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2"), ("F8_E8M0", "float8_e8m0fnu")],
)
def test_every_8_bit_float(torch: ModuleType, dtype: str, name: str) -> None:
    codes = np.arange(256, dtype=np.uint8)
    theirs = torch.from_numpy(codes.copy()).view(getattr(torch, name)).to(torch.float32).numpy()
    assert_same_floats(float8_table(dtype), theirs)
    assert_same_floats(RawTensor(dtype, (16, 16), codes.tobytes()).floats(), theirs.reshape(16, 16))


@pytest.mark.parametrize(("dtype", "name"), [("BF16", "bfloat16"), ("F16", "float16")])
def test_every_16_bit_float(torch: ModuleType, dtype: str, name: str) -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    theirs = torch.from_numpy(codes.copy()).view(getattr(torch, name)).to(torch.float32).numpy()
    assert_same_floats(RawTensor(dtype, (256, 256), codes.tobytes()).floats(), theirs.reshape(256, 256))


def test_values_known_from_the_specifications() -> None:
    e4m3, e5m2, e8m0 = float8_table("F8_E4M3"), float8_table("F8_E5M2"), float8_table("F8_E8M0")
    assert e4m3[0x7E] == 448
    assert np.isnan(e4m3[[0x7F, 0xFF]]).all()
    assert e4m3[0x01] == 2**-9
    assert e4m3[0xB8] == -1
    assert e5m2[0x7B] == 57344
    assert (e5m2[0x7C], e5m2[0xFC]) == (np.inf, -np.inf)
    assert np.isnan(e5m2[[0x7D, 0x7E, 0x7F, 0xFD]]).all()
    assert e5m2[0x01] == 2**-16
    assert (e8m0[0], e8m0[127], e8m0[254]) == (2.0**-127, 1, 2.0**127)
    assert np.isnan(e8m0[255])


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2"), ("I64", "<i8"), ("I32", "<i4"), ("I16", "<i2"),
     ("I8", "<i1"), ("U64", "<u8"), ("U32", "<u4"), ("U16", "<u2"), ("U8", "<u1")],
)  # fmt: skip
def test_stored_values_as_they_are(dtype: str, kind: str) -> None:
    values = np.array([[0, 1, 2], [100, 7, 42]], kind)
    raw = RawTensor(dtype, (2, 3), values.tobytes())
    assert raw.array().dtype == np.dtype(kind)
    np.testing.assert_array_equal(raw.array(), values)
    assert values.dtype.itemsize * 8 == BITS[dtype]


def test_doubles_that_a_float32_cannot_hold() -> None:
    values = np.array([1e300, -1e300, 1e-300, np.nan, 0.1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        floats = RawTensor("F64", (5,), values.tobytes()).floats()
    np.testing.assert_array_equal(floats, np.array([np.inf, -np.inf, 0, np.nan, np.float32(0.1)], np.float32))


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F8_E4M3"])
def test_a_scalar_and_nothing(dtype: str) -> None:
    one = {"F32": np.float32(1).tobytes(), "BF16": b"\x80\x3f", "F8_E4M3": b"\x38"}[dtype]
    assert RawTensor(dtype, (), one).floats() == 1
    assert RawTensor(dtype, (), one).floats().shape == ()
    assert RawTensor(dtype, (0, 7), b"").floats().shape == (0, 7)


@pytest.mark.parametrize("dtype", ["I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"])
def test_whole_numbers_are_no_floats(dtype: str) -> None:
    with pytest.raises(InputError, match=f"a tensor of type {dtype} stands where floats should"):
        RawTensor(dtype, (1,), bytes(BITS[dtype] // 8)).floats()


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2", "C64"])
def test_types_that_are_not_read(dtype: str) -> None:
    raw = RawTensor(dtype, (4,), bytes(4 * BITS[dtype] // 8))
    with pytest.raises(InputError, match=f"values of type {dtype} are not read here"):
        raw.array()
    with pytest.raises(InputError, match="not read here"):
        raw.floats()

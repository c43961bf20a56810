"""bitsandbytes' own files decoded to its own bits, and files that lie about themselves."""

import json
from pathlib import Path

import numpy as np
import pytest
from checkpoints.by_hand import Stored, module_of, stored

from qaudit.checkpoints.codecs.bitsandbytes import MAX_STATE, STATE, EightBit, FourBit
from qaudit.checkpoints.codecs.module_parts import ModuleParts
from qaudit.checkpoints.safetensors import read_safetensors
from qaudit.errors import InputError, MalformedFile

GOLDEN = Path(__file__).parent / "golden"
FOUR_BIT = [
    ("bnb_4bit", f"{kind}.{scales}.{dtype}")
    for kind in ("nf4", "fp4")
    for scales in ("single", "double")
    for dtype in ("float16", "bfloat16", "float32")
] + [
    ("bnb_4bit_many", "many.bfloat16"),
    ("bnb_4bit_extreme", "nf4.float32"),
    ("bnb_4bit_extreme", "fp4.float32"),
]


def golden(file_name: str, module: str) -> tuple[ModuleParts, np.ndarray]:
    """A module of a file that bitsandbytes' tensors were saved to, and what it decodes them to."""
    file = read_safetensors(GOLDEN / f"{file_name}.safetensors")
    held = {
        name[len(module) + 1 :]: (file, tensor)
        for name, tensor in file.tensors.items()
        if name.startswith(f"{module}.")
    }
    assert held
    return ModuleParts(module, held), file.read(file.tensors[f"decoded.{module}"]).floats()


def assert_same_bits(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize(("file_name", "module"), FOUR_BIT)
def test_four_bit_matrices_of_bitsandbytes(file_name: str, module: str) -> None:
    parts, theirs = golden(file_name, module)
    codec = FourBit()
    assert codec.shape(parts) == theirs.shape
    outputs = theirs.shape[0]
    assert_same_bits(codec.rows(parts, 0, outputs), theirs)
    # rows of an odd length begin in the middle of a byte and of a block
    for start in range(0, outputs, max(1, outputs // 7)):
        for stop in {start + 1, outputs}:
            assert_same_bits(codec.rows(parts, start, stop), theirs[start:stop])


@pytest.mark.parametrize("module", ["odd.single.float16", "odd.double.float16"])
def test_an_odd_number_of_weights(module: str) -> None:
    parts, theirs = golden("bnb_4bit_odd", module)
    codec = FourBit()
    assert codec.shape(parts) == theirs.shape == (5, 29)
    assert_same_bits(codec.rows(parts, 0, 5), theirs)
    assert_same_bits(codec.rows(parts, 4, 5), theirs[4:])


def test_eight_bit_matrices_of_bitsandbytes() -> None:
    parts, theirs = golden("bnb_int8", "int8")
    codec = EightBit()
    assert codec.shape(parts) == theirs.shape
    assert_same_bits(codec.rows(parts, 0, 9), theirs)
    for start in range(9):
        assert_same_bits(codec.rows(parts, start, start + 1), theirs[start : start + 1])


STATE_4X6 = {"quant_type": "nf4", "blocksize": 8, "dtype": "float32", "shape": [4, 6]}
NESTED = {"nested_blocksize": 2, "nested_dtype": "float32", "nested_offset": 0.5}


def state(**changes: object) -> Stored:
    return raw_state(json.dumps(STATE_4X6 | changes).encode())


def raw_state(raw: bytes) -> Stored:
    return "U8", (len(raw),), raw


def four_bit(**changes: Stored | None) -> dict[str, Stored]:
    """A 4x6 matrix whose code is its place modulo 16 and whose table is the code itself."""
    codes = np.arange(24) % 16
    parts: dict[str, Stored | None] = {
        "weight": stored((codes[::2] << 4 | codes[1::2]).astype(np.uint8).reshape(12, 1)),
        "weight.absmax": stored(np.array([1, 10, 100], np.float32)),
        "weight.quant_map": stored(np.arange(16, dtype=np.float32)),
        STATE + "nf4": state(),
    }
    parts |= {"weight." + key if key != "weight" else key: entry for key, entry in changes.items()}
    return {part: entry for part, entry in parts.items() if entry is not None}


def test_a_matrix_by_hand(tmp_path: Path) -> None:
    expected = (np.arange(24) % 16 * np.repeat([1, 10, 100], 8)).reshape(4, 6)
    parts = module_of(tmp_path / "x", four_bit())
    assert FourBit().shape(parts) == (4, 6)
    assert FourBit().rows(parts, 0, 4).tolist() == expected.tolist()
    assert FourBit().rows(parts, 1, 3).tolist() == expected[1:3].tolist()


def test_double_quantization_by_hand(tmp_path: Path) -> None:
    entries = four_bit(
        absmax=stored(np.array([3, 0, 255], np.uint8)),
        nested_absmax=stored(np.array([2, 4], np.float32)),
        nested_quant_map=stored(np.arange(256, dtype=np.float32)),
    )
    entries[STATE + "nf4"] = state(**NESTED)
    parts = module_of(tmp_path / "x", entries)
    assert FourBit().shape(parts) == (4, 6)
    largest = np.repeat([3 * 2 + 0.5, 0.5, 255 * 4 + 0.5], 8)
    assert FourBit().rows(parts, 0, 4).ravel().tolist() == (np.arange(24) % 16 * largest).tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_hostile_scales_pass_through_silently(tmp_path: Path, dtype: str) -> None:
    entries = four_bit(absmax=stored(np.array([np.inf, np.nan, 3e38], np.float32)))
    entries[STATE + "nf4"] = state(dtype=dtype)
    rows = FourBit().rows(module_of(tmp_path / "x", entries), 0, 4).ravel()
    assert np.isposinf(rows[1:8]).all()
    assert np.isnan(rows[8:16]).all()
    assert np.isposinf(rows[18:]).all()


@pytest.mark.parametrize(
    ("dtype", "rounded"),
    [
        ("bfloat16", [1.0, 1.015625, 1.015625, -1.0]),
        ("float16", [1.00390625, 1.01171875, 1.0126953125, -1.00390625]),
    ],
)
def test_rounding_is_to_nearest_and_even(tmp_path: Path, dtype: str, rounded: list[float]) -> None:
    # a bfloat16 has steps of 2**-7 here: halfway down, halfway up, just above, halfway and negative
    table = np.zeros(16, np.float32)
    table[:4] = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 3 * 2**-8 + 2**-10, -1 - 2**-8]
    codes = {"weight": stored(np.array([[0x01], [0x23]], np.uint8))}
    entries = (
        four_bit()
        | codes
        | {
            "weight.quant_map": stored(table),
            "weight.absmax": stored(np.ones(1, np.float32)),
            STATE + "nf4": state(dtype=dtype, shape=[1, 4]),
        }
    )
    assert FourBit().rows(module_of(tmp_path / "x", entries), 0, 1).tolist() == [rounded]


def test_the_fp4_name(tmp_path: Path) -> None:
    entries = four_bit()
    entries[STATE + "fp4"] = entries.pop(STATE + "nf4")
    assert FourBit().shape(module_of(tmp_path / "x", entries)) == (4, 6)


BROKEN_STATES = [
    ("not JSON", b"{", "not JSON"),
    ("empty", b"", "not JSON"),
    ("a list", b"[]", "not an object"),
    ("twice", b'{"shape": [4, 6], "shape": [4, 6]}', "appears twice"),
    ("nothing", b"{}", "shape"),
    ("no block", json.dumps({k: v for k, v in STATE_4X6.items() if k != "blocksize"}).encode(), "blocksize"),
    ("shape of one", json.dumps(STATE_4X6 | {"shape": [24]}).encode(), "shape of 1 dimensions"),
    ("shape of three", json.dumps(STATE_4X6 | {"shape": [2, 2, 6]}).encode(), "shape of 3 dimensions"),
    ("shape negative", json.dumps(STATE_4X6 | {"shape": [-4, -6]}).encode(), "shape -4"),
    ("shape null", json.dumps(STATE_4X6 | {"shape": None}).encode(), "does not say"),
    ("shape number", json.dumps(STATE_4X6 | {"shape": 24}).encode(), "does not say"),
    ("shape of fractions", json.dumps(STATE_4X6 | {"shape": [4.0, 6.0]}).encode(), r"shape 4\.0"),
    ("shape true", json.dumps(STATE_4X6 | {"shape": [True, 24]}).encode(), "shape true"),
    ("shape huge", json.dumps(STATE_4X6 | {"shape": [1 << 40, 1]}).encode(), "shape 1099511627776"),
    ("block of 0", json.dumps(STATE_4X6 | {"blocksize": 0}).encode(), "blocksize 0"),
    ("block of text", json.dumps(STATE_4X6 | {"blocksize": "8"}).encode(), "blocksize"),
    ("dtype unknown", json.dumps(STATE_4X6 | {"dtype": "int8"}).encode(), "int8"),
    ("dtype list", json.dumps(STATE_4X6 | {"dtype": []}).encode(), "does not say"),
    ("nested block of 0", json.dumps(STATE_4X6 | NESTED | {"nested_blocksize": 0}).encode(), "nested_blocksize 0"),
    ("no offset", json.dumps(STATE_4X6 | {"nested_blocksize": 2}).encode(), "nested_offset"),
    ("offset text", json.dumps(STATE_4X6 | NESTED | {"nested_offset": "x"}).encode(), "does not say"),
    ("offset null", json.dumps(STATE_4X6 | NESTED | {"nested_offset": None}).encode(), "does not say"),
    pytest.param(
        "offset huge",
        json.dumps(STATE_4X6 | NESTED | {"nested_offset": 10**400}).encode(),
        "does not say",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "why"), BROKEN_STATES)
def test_a_state_that_does_not_say_how(tmp_path: Path, name: str, raw: bytes, why: str) -> None:
    entries = four_bit()
    entries[STATE + "nf4"] = raw_state(raw)
    with pytest.raises(
        MalformedFile, match=rf"model\.proj: .*does not say how it was packed \(.*{why}|{why}"
    ) as caught:
        FourBit().shape(module_of(tmp_path / "x", entries))
    assert "model.proj: " in str(caught.value)


BROKEN = [
    ("shape over the codes", "quant_state.bitsandbytes__nf4", state(shape=[4, 7]), "weight is not the 28 codes"),
    ("shape under the codes", "quant_state.bitsandbytes__nf4", state(shape=[4, 5]), "weight is not the 20 codes"),
    ("weight of floats", "weight", stored(np.zeros((12, 1), np.float16)), "weight is not the 24 codes"),
    ("no table", "quant_map", None, r"has no weight\.quant_map"),
    ("short table", "quant_map", stored(np.zeros(8, np.float32)), r"weight\.quant_map is F32 8; .* F32 16"),
    ("no absmax", "absmax", None, r"has no weight\.absmax"),
    ("short absmax", "absmax", stored(np.zeros(2, np.float32)), r"weight\.absmax is F32 2; .* F32 3"),
    ("absmax of codes", "absmax", stored(np.zeros(3, np.uint8)), r"weight\.absmax is U8 3; .* F32 3"),
    ("nested absmax of floats", "quant_state.bitsandbytes__nf4", state(**NESTED), r"weight\.absmax is F32 3; .* U8 3"),
    ("state of floats", "quant_state.bitsandbytes__nf4", stored(np.zeros(9, np.float32)), "is F32 9; .* U8"),
    ("state too long", "quant_state.bitsandbytes__nf4", raw_state(b" " * (MAX_STATE + 1)), "is longer than"),
    ("no state", "quant_state.bitsandbytes__nf4", None, r"has no weight\.quant_state\.bitsandbytes__nf4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "entry", "why"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_parts_that_do_not_fit(tmp_path: Path, part: str, entry: Stored | None, why: str) -> None:
    with pytest.raises(MalformedFile, match=rf"model\.proj: .*{why}"):
        FourBit().shape(module_of(tmp_path / "x", four_bit(**{part: entry})))


@pytest.mark.parametrize("part", ["nested_absmax", "nested_quant_map"])
def test_nested_parts_that_do_not_fit(tmp_path: Path, part: str) -> None:
    nested: dict[str, Stored | None] = {
        "absmax": stored(np.zeros(3, np.uint8)),
        "nested_absmax": stored(np.zeros(2, np.float32)),
        "nested_quant_map": stored(np.zeros(256, np.float32)),
        "quant_state.bitsandbytes__nf4": state(**NESTED),
    }
    assert FourBit().shape(module_of(tmp_path / "x", four_bit(**nested))) == (4, 6)
    for wrong in (None, stored(np.zeros(1, np.float32)), stored(np.zeros(256, np.float16))):
        with pytest.raises(MalformedFile, match=rf"weight\.{part}"):
            FourBit().shape(module_of(tmp_path / "x", four_bit(**nested | {part: wrong})))


@pytest.mark.parametrize(
    "shape",
    [
        (1, 12),
        (3, 4),
        (12,),
        (12, 1, 1),
    ],
    ids=str,
)
def test_codes_in_another_shape_are_decoded_or_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    codes = np.frombuffer(four_bit()["weight"][2], np.uint8).reshape(shape)
    parts = module_of(tmp_path / "x", four_bit(weight=stored(codes)))
    expected = (np.arange(24) % 16 * np.repeat([1, 10, 100], 8)).reshape(4, 6)
    try:
        FourBit().shape(parts)
    except MalformedFile:
        return
    for start, stop in [(0, 4), (1, 3), (2, 4)]:
        assert FourBit().rows(parts, start, stop).tolist() == expected[start:stop].tolist()


def int8_parts(**changes: Stored | None) -> dict[str, Stored]:
    parts: dict[str, Stored | None] = {
        "weight": stored(np.array([[127, -127, 0], [1, -128, 64]], np.int8)),
        "SCB": stored(np.array([127, 254], np.float32)),
    }
    parts |= changes
    return {part: entry for part, entry in parts.items() if entry is not None}


def test_eight_bits_by_hand(tmp_path: Path) -> None:
    rows = EightBit().rows(module_of(tmp_path / "x", int8_parts()), 0, 2)
    np.testing.assert_allclose(rows, [[127, -127, 0], [2, -256, 128]], rtol=1e-6)


@pytest.mark.parametrize(
    ("part", "entry", "why"),
    [
        ("SCB", None, "has no SCB"),
        ("SCB", stored(np.ones(3, np.float32)), "SCB is F32 3; .* F32 2"),
        ("SCB", stored(np.ones(2, np.float16)), "SCB is F16 2; .* F32 2"),
        ("weight", stored(np.ones((2, 3), np.uint8)), "weight is U8 2x3; .* I8"),
        ("weight", stored(np.ones(6, np.int8)), "weight is I8 6; .* I8"),
    ],
)
def test_eight_bit_parts_that_do_not_fit(tmp_path: Path, part: str, entry: Stored | None, why: str) -> None:
    with pytest.raises(MalformedFile, match=rf"model\.proj: {why}"):
        EightBit().shape(module_of(tmp_path / "x", int8_parts(**{part: entry})))


@pytest.mark.parametrize("layout", [1, 2, 3])
def test_layouts_for_old_gpus_are_refused_as_bitsandbytes_does(tmp_path: Path, layout: int) -> None:
    parts = module_of(tmp_path / "x", int8_parts(weight_format=stored(np.array(layout, np.uint8))))
    with pytest.raises(InputError):
        EightBit().shape(parts)

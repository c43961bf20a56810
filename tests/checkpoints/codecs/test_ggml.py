"""Every block type: what ggml encodes, our decoder decodes to gguf-py's bits, with and without llama.cpp."""

import ctypes
import importlib.machinery
import importlib.util
import platform
from collections.abc import Iterator

import numpy as np
import pytest
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from qaudit.checkpoints.codecs import ggml
from qaudit.checkpoints.codecs.ggml import BLOCKS, decode_rows, native_decoder
from qaudit.errors import InputError

K = GGMLQuantizationType
# types that ggml_quantize_chunk encodes
ENCODED = [
    K.Q4_0, K.Q4_1, K.Q5_0, K.Q5_1, K.Q8_0, K.Q2_K, K.Q3_K, K.Q4_K, K.Q5_K, K.Q6_K,
    K.IQ1_S, K.IQ1_M, K.IQ2_XXS, K.IQ2_XS, K.IQ2_S, K.IQ3_XXS, K.IQ3_S, K.IQ4_NL, K.IQ4_XS,
    K.TQ1_0, K.TQ2_0, K.MXFP4, K.NVFP4, K.Q1_0, K.BF16, K.F16, K.F32,
]  # fmt: skip
NEED_WEIGHTS = {K.IQ1_S, K.IQ1_M, K.IQ2_XXS, K.IQ2_XS}
# only ggml decodes these
NATIVE_ONLY = {K.Q8_K, K.Q1_0}
QUANTIZED = [kind for kind in BLOCKS if kind not in ggml._PLAIN]
# under two bits a weight: what is decoded is only roughly what was encoded
COARSE = {K.IQ1_S, K.IQ1_M, K.TQ1_0, K.TQ2_0, K.Q1_0}


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    found = ggml.ggml_base()
    assert found is not None
    found.ggml_quantize_chunk.restype = ctypes.c_size_t
    found.ggml_type_size.restype = ctypes.c_size_t
    found.ggml_blck_size.restype = ctypes.c_int64
    found.ggml_type_name.restype = ctypes.c_char_p
    return found


def encoded(library: ctypes.CDLL, kind: K, rows: np.ndarray) -> bytes:
    """Quantize with ggml itself."""
    library.ggml_quantize_init(int(kind))
    block, size = GGML_QUANT_SIZES[kind]
    out = ctypes.create_string_buffer(rows.size // block * size)
    floats = ctypes.POINTER(ctypes.c_float)
    importance = np.ones(rows.shape[1], np.float32).ctypes.data_as(floats) if kind in NEED_WEIGHTS else None
    written = library.ggml_quantize_chunk(
        int(kind),
        rows.ctypes.data_as(floats),
        out,
        ctypes.c_int64(0),
        ctypes.c_int64(rows.shape[0]),
        ctypes.c_int64(rows.shape[1]),
        importance,
    )
    assert written == len(out)
    return out.raw


def assert_same_bits(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    # the payload of a NaN is nobody's promise
    nans = np.isnan(ours)
    np.testing.assert_array_equal(nans, np.isnan(theirs))
    if platform.machine() in ("x86_64", "AMD64"):
        np.testing.assert_array_equal(ours.view(np.uint32)[~nans], theirs.view(np.uint32)[~nans])
    else:  # a compiler may fuse multiplication and addition there
        np.testing.assert_allclose(ours[~nans], theirs[~nans], rtol=1e-6)


def test_block_sizes_are_ggmls_own(library: ctypes.CDLL) -> None:
    for kind, (block, size) in BLOCKS.items():
        assert library.ggml_type_name(int(kind)).decode().upper() == kind.name
        assert (library.ggml_blck_size(int(kind)), library.ggml_type_size(int(kind))) == (block, size), (
            kind.name
        )


@pytest.mark.parametrize(
    "kind",
    ENCODED,
    ids=lambda kind: kind.name,
)
def test_what_ggml_encodes_is_decoded(library: ctypes.CDLL, kind: K, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).standard_normal((3, 256), np.float32)
    rows[1] = 0
    packed = encoded(library, kind, rows)
    decoded = decode_rows(packed, kind, 256)
    assert decoded.shape == (3, 256)
    error = np.linalg.norm(decoded - rows) / np.linalg.norm(rows)
    assert error < (0.85 if kind in COARSE else 0.5), error
    assert np.abs(decoded[1]).max() < 1e-6
    if kind in NATIVE_ONLY:
        return
    block, size = GGML_QUANT_SIZES[kind]
    theirs = quants.dequantize(np.frombuffer(packed, np.uint8).reshape(3, 256 // block * size), kind)
    assert_same_bits(decoded, np.asarray(theirs, np.float32).reshape(3, 256))
    monkeypatch.setattr(ggml, "native_decoder", lambda _: None)
    assert_same_bits(decode_rows(packed, kind, 256), decoded)


@pytest.mark.parametrize("kind", [k for k in QUANTIZED if k not in NATIVE_ONLY], ids=lambda k: k.name)
def test_any_bytes_decode_to_the_same_bits_on_both_paths(kind: K, monkeypatch: pytest.MonkeyPatch) -> None:
    # hostile scales: infinite, NaN, denormal; no warning, no crash, no difference
    block, size = BLOCKS[kind]
    packed = np.random.default_rng(int(kind)).integers(0, 256, 64 * size, np.uint8).tobytes()
    first = decode_rows(packed, kind, 2 * block)
    assert first.shape == (32, 2 * block)
    monkeypatch.setattr(ggml, "native_decoder", lambda _: None)
    assert_same_bits(decode_rows(packed, kind, 2 * block), first)


@pytest.mark.parametrize("kind", QUANTIZED, ids=lambda k: k.name)
def test_a_row_does_not_depend_on_its_neighbours(kind: K) -> None:
    block, size = BLOCKS[kind]
    packed = np.random.default_rng(5).integers(0, 256, 6 * size, np.uint8).tobytes()
    whole = decode_rows(packed, kind, 2 * block)
    for row in range(3):
        one = decode_rows(packed[2 * size * row : 2 * size * (row + 1)], kind, 2 * block)
        assert_same_bits(one, whole[row : row + 1])


def test_native_decoders_are_found_for_all_quantized_types_but_bf16() -> None:
    assert [kind.name for kind in BLOCKS if native_decoder(kind) is None] == [
        "F32", "F16", "I8", "I16", "I32", "I64", "F64", "BF16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (K.F32, "<f4"),
        (K.F16, "<f2"),
        (K.F64, "<f8"),
        (K.I8, "<i1"),
        (K.I16, "<i2"),
        (K.I32, "<i4"),
        (K.I64, "<i8"),
    ],
)
def test_plain_numbers(kind: K, dtype: str) -> None:
    values = np.array([[0, 1, -2, 100], [-128, 127, 5, 6]], dtype)
    np.testing.assert_array_equal(decode_rows(values.tobytes(), kind, 4), values.astype(np.float32))


def test_plain_numbers_that_do_not_fit_make_no_warning() -> None:
    doubles = np.array([1e300, -1e300, np.nan, np.inf])
    decoded = decode_rows(doubles.tobytes(), K.F64, 4)
    np.testing.assert_array_equal(decoded, [[np.inf, -np.inf, np.nan, np.inf]])
    # every half there is, with all its NaNs
    assert decode_rows(np.arange(1 << 16, dtype=np.uint16).tobytes(), K.F16, 256).shape == (256, 256)


@pytest.mark.parametrize(("length", "columns"), [(143, 256), (144, 100), (10, 0), (144, -256), (1, 256)])
def test_bytes_that_are_not_whole_rows(length: int, columns: int) -> None:
    with pytest.raises(InputError, match="not whole Q4_K rows"):
        decode_rows(b"\0" * length, K.Q4_K, columns)


def test_a_type_that_is_not_for_files() -> None:
    assert K.Q8_1 not in BLOCKS
    with pytest.raises(InputError, match="Q8_1 is not a type for files"):
        decode_rows(bytes(36), K.Q8_1, 32)


def test_a_type_that_only_llama_cpp_decodes_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ggml, "native_decoder", lambda _: None)
    with pytest.raises(
        InputError, match=r"Q8_K tensors need llama\.cpp to decode; run: pip install 'qaudit\[gguf\]'"
    ):
        decode_rows(bytes(292), K.Q8_K, 256)


@pytest.fixture
def fresh_caches() -> Iterator[None]:
    for cached in (ggml.ggml_base, ggml.native_decoder):
        cached.cache_clear()
    yield
    for cached in (ggml.ggml_base, ggml.native_decoder):
        cached.cache_clear()


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize("state", ["absent", "empty", "broken"])
def test_an_absent_or_broken_llama_cpp_is_no_obstacle(
    state: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("llama_cpp")
    (folder / "lib").mkdir()
    if state == "broken":
        (folder / "lib" / "libggml-base.so").write_bytes(b"not a library")
    spec = importlib.machinery.ModuleSpec("llama_cpp", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None if state == "absent" else spec)
    assert native_decoder(K.Q4_K) is None
    assert decode_rows(bytes(144), K.Q4_K, 256).tolist() == [[0.0] * 256]

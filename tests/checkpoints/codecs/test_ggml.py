import ctypes

import numpy as np
import pytest
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from qaudit.checkpoints.codecs import ggml
from qaudit.checkpoints.codecs.ggml import decode_rows, native_decoder
from qaudit.errors import InputError

K = GGMLQuantizationType
# types that ggml encodes without an importance matrix
ENCODED = [
    K.Q4_0, K.Q4_1, K.Q5_0, K.Q5_1, K.Q8_0, K.Q2_K, K.Q3_K, K.Q4_K, K.Q5_K, K.Q6_K, K.IQ4_NL, K.IQ4_XS, K.IQ3_S,
    K.IQ3_XXS, K.IQ2_S, K.TQ1_0, K.TQ2_0, K.BF16, K.F16, K.F32, K.MXFP4,
]  # fmt: skip


def encoded(kind: K, rows: np.ndarray) -> bytes:
    """Quantize with ggml itself."""
    library = ggml._ggml_base()
    assert library is not None
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_init(int(kind))
    block, size = GGML_QUANT_SIZES[kind]
    out = ctypes.create_string_buffer(rows.size // block * size)
    pointer = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    written = library.ggml_quantize_chunk(
        int(kind), pointer, out, ctypes.c_int64(0), ctypes.c_int64(rows.shape[0]), ctypes.c_int64(rows.shape[1]), None
    )
    assert written == len(out)
    return out.raw


@pytest.mark.parametrize("kind", ENCODED, ids=lambda k: k.name)
def test_decoded_bits_are_gguf_pys(kind: K) -> None:
    rows = np.random.default_rng(1).standard_normal((3, 512), np.float32)
    rows[1] = 0
    packed = encoded(kind, rows)
    decoded = decode_rows(packed, kind, 512)
    block, size = GGML_QUANT_SIZES[kind]
    expected = quants.dequantize(np.frombuffer(packed, np.uint8).reshape(3, 512 // block * size), kind)
    assert decoded.shape == (3, 512)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, expected.reshape(3, 512))


@pytest.mark.parametrize("kind", [K.Q4_K, K.Q6_K, K.IQ4_XS, K.Q8_0], ids=lambda k: k.name)
def test_without_llama_cpp_the_bits_are_the_same(kind: K, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(2).standard_normal((2, 256), np.float32)
    packed = encoded(kind, rows)
    native = decode_rows(packed, kind, 256)
    monkeypatch.setattr(ggml, "native_decoder", lambda _: None)
    np.testing.assert_array_equal(decode_rows(packed, kind, 256), native)


def test_the_native_decoder_is_found_for_quantized_types_only() -> None:
    assert native_decoder(K.Q4_K) is not None
    assert native_decoder(K.I8) is None


def test_plain_numbers() -> None:
    values = np.arange(8, dtype=np.int32)
    np.testing.assert_array_equal(decode_rows(values.tobytes(), K.I32, 4), values.reshape(2, 4).astype(np.float32))


@pytest.mark.parametrize(("length", "columns"), [(143, 256), (144, 100), (10, 0)])
def test_bytes_that_are_not_whole_rows(length: int, columns: int) -> None:
    with pytest.raises(InputError, match="not whole Q4_K rows"):
        decode_rows(b"\0" * length, K.Q4_K, columns)


def test_a_type_that_nothing_decodes_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ggml, "native_decoder", lambda _: None)

    def unknown(*_: object) -> np.ndarray:
        raise NotImplementedError

    monkeypatch.setattr(quants, "dequantize", unknown)
    with pytest.raises(InputError, match="pip install 'qaudit\\[gguf\\]'"):
        decode_rows(b"\0" * 144, K.Q4_K, 256)

import ctypes
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from changed_weights import random_weights
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from qaudit.checkpoints.codecs.ggml import decode_rows
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.weights.rounding import GGML, PLAIN, RoundingGrid, _folder_grid, grid_of

Member = Callable[[str], Path]

# codebooks without an importance matrix, or of few values, leave more or less than their bits say
LOOSE = ("IQ", "TQ", "MX")


def ggml_base() -> ctypes.CDLL:
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.submodule_search_locations
    library = ctypes.CDLL(str(Path(spec.submodule_search_locations[0]) / "lib" / "libggml-base.so"))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library


@pytest.mark.parametrize("name", [name for name in GGML if not name.startswith(LOOSE) and name != "Q8_K"])
def test_what_is_expected_is_what_ggml_does(name: str) -> None:
    pytest.importorskip("llama_cpp")
    rows = np.random.default_rng(1).standard_normal((32, 1024)).astype(np.float32)
    kind = GGMLQuantizationType[name]
    block, size = GGML_QUANT_SIZES[kind]
    out = ctypes.create_string_buffer(rows.size // block * size)
    written = ggml_base().ggml_quantize_chunk(
        int(kind), rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), out,
        ctypes.c_int64(0), ctypes.c_int64(len(rows)), ctypes.c_int64(rows.shape[1]), None,
    )  # fmt: skip
    assert written == len(out)
    off = decode_rows(out.raw, kind, rows.shape[1]) - rows
    measured = np.sqrt(np.square(off).sum() / np.square(rows).sum())
    # a scale search does better than rounding to nearest, doubly rounded scales a little worse
    assert 0.75 < measured / GGML[name].error(rows) < 1.1


@pytest.mark.parametrize(("name", "dtype"), [("F16", np.float16), ("F32", np.float32)])
def test_floats_are_off_by_their_mantissa(name: str, dtype: type) -> None:
    exact = np.random.default_rng(2).standard_normal((32, 1024))
    off = exact.astype(dtype).astype(np.float64) - exact
    measured = np.sqrt(np.square(off).sum() / np.square(exact).sum())
    assert measured == pytest.approx(PLAIN[name].error(exact.astype(np.float32)), rel=0.2)


def test_fewer_bits_and_larger_groups_are_worse() -> None:
    rows = random_weights(layers=1)["model.layers.0.mlp.down_proj"].astype(np.float32)
    by_bits = [RoundingGrid(bits, 32).error(rows) for bits in (2, 3, 4, 5, 6, 8)]
    assert by_bits == sorted(by_bits, reverse=True)
    assert RoundingGrid(4, 0).error(rows) > RoundingGrid(4, 128).error(rows) > RoundingGrid(4, 32).error(rows)
    assert RoundingGrid(4, 32).error(np.zeros((2, 32), np.float32)) == 0


def test_a_row_that_is_not_whole_groups_is_measured_too() -> None:
    rows = np.random.default_rng(3).standard_normal((8, 100)).astype(np.float32)
    assert 0.05 < RoundingGrid(4, 64).error(rows) < 0.15


@pytest.mark.parametrize(
    ("member_name", "grid"),
    [
        ("AWQ-g128", RoundingGrid(4, 128)),
        ("GPTQ-3bit", RoundingGrid(3, 128, symmetric=True, mending=True)),
        ("W4A16", RoundingGrid(4, 128, symmetric=True, mending=True)),
    ],
)
def test_folders_say_how_they_are_packed(member: Member, member_name: str, grid: RoundingGrid) -> None:
    pytest.importorskip("compressed_tensors")
    folder = open_checkpoint(member(member_name))
    stored = folder.types()["model.layers.0.mlp.up_proj"]
    assert grid_of(folder, stored) == grid
    assert grid_of(folder, "F16") == PLAIN["F16"]


@pytest.mark.parametrize("other", [{"num_bits": 8}, {"group_size": 32}, {"type": "float"}])
def test_groups_of_modules_that_are_packed_otherwise_are_not_known(other: dict[str, object]) -> None:
    weights = {"num_bits": 4, "group_size": 128, "symmetric": True, "type": "int"}

    def grid(*groups: object) -> RoundingGrid | None:
        told = {f"group_{place}": group for place, group in enumerate(groups)}
        return _folder_grid({"quant_method": "compressed-tensors", "config_groups": told})

    same = RoundingGrid(4, 128, symmetric=True, mending=True)
    assert grid({"weights": weights}, {"weights": {**weights}}, {"weights": None}) == same
    assert grid({"weights": weights}, {"weights": {**weights, **other}}) is None


def test_ggufs_say_it_by_type(q8: Path) -> None:
    checkpoint = open_checkpoint(q8)
    assert grid_of(checkpoint, "Q8_0") == GGML["Q8_0"]
    assert grid_of(checkpoint, "Q4_0_4_4") is None

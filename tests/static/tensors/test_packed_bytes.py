import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensor_folders import modules_of, written

from qaudit.static.configs.quantization import Claim, claim_of
from qaudit.static.folder_view import Entry
from qaudit.static.tensors.modules import STATE, Module, gathered
from qaudit.static.tensors.packed_bytes import (
    check_bnb4,
    check_bnb8,
    check_hqq,
    check_hqq_settings,
    check_state,
    state_part,
)
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, StoredTensor
from qaudit.static.tensors.weight_files import Held, weight_folders

FOUR: dict[str, Any] = {
    "weight": ("U8", (64, 1), None),
    "weight.absmax": ("F32", (2,), None),
    "weight.quant_map": ("F32", (16,), None),
    STATE + "nf4": ("U8", (80,), None),
}
STATE_OK = {"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [8, 16]}
HQQ = {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 8}}}


def module(tmp_path: Path, parts: dict[str, Any], **changes: Any) -> Module:
    changed = {**parts, **{name.replace("__", "."): part for name, part in changes.items()}}
    return modules_of(tmp_path, {f"x.{name}": part for name, part in changed.items() if part})["x"]


def test_four_bits_fit(tmp_path: Path) -> None:
    good = module(tmp_path, FOUR)
    assert list(check_bnb4(good, None)) == []
    assert state_part(good) == STATE + "nf4"
    assert list(check_state(good, json.dumps(STATE_OK).encode())) == []
    nested = module(tmp_path, FOUR, weight__absmax=("U8", (2,), None), weight__nested_absmax=("F32", (1,), None),
                    weight__nested_quant_map=("F32", (256,), None))  # fmt: skip
    assert list(check_bnb4(nested, None)) == []
    assert list(check_state(nested, json.dumps({**STATE_OK, "nested_blocksize": 256}).encode())) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weight__absmax": None}, "part-missing"),
        ({"weight__quant_map": None}, "part-missing"),
        ({STATE + "nf4": None}, "part-missing"),
        ({"weight__quant_map": ("F32", (15,), None)}, "part-shape"),
        ({"weight__absmax": ("I32", (2,), None)}, "part-type"),
        ({"weight__absmax": ("U8", (2,), None)}, "part-missing"),
        ({STATE + "nf4": ("F32", (2,), None)}, "part-type"),
    ],
)
def test_four_bits_do_not_fit(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    parts = {
        **FOUR,
        **{
            name.replace("__", ".", 1) if name.startswith("weight__") else name: p
            for name, p in changes.items()
        },
    }
    found = modules_of(tmp_path, {f"x.{name}": part for name, part in parts.items() if part})["x"]
    assert code in [f.code for f in check_bnb4(found, None)]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (b"", "state"), (b"[]", "state"), (b"{", "state"), (b'{"shape":[8,16],"shape":[1],"blocksize":64}', "state"),
        ({**STATE_OK, "shape": [8, 17]}, "state"), ({**STATE_OK, "shape": []}, "state"),
        ({**STATE_OK, "shape": [1 << 50, 1 << 50]}, "state"), ({**STATE_OK, "shape": "8"}, "state"),
        ({**STATE_OK, "blocksize": 0}, "state"), ({**STATE_OK, "blocksize": True}, "state"),
        ({**STATE_OK, "blocksize": 32}, "part-shape"),
    ],
)  # fmt: skip
def test_descriptions_that_do_not_fit(tmp_path: Path, state: Any, code: str) -> None:
    raw = state if isinstance(state, bytes) else json.dumps(state).encode()
    assert [f.code for f in check_state(module(tmp_path, FOUR), raw)] == [code]


def test_a_description_of_more_than_there_is_is_critical(tmp_path: Path) -> None:
    (fault,) = check_state(module(tmp_path, FOUR), json.dumps({**STATE_OK, "shape": [800, 16]}).encode())
    assert fault.severity == "critical"


def test_eight_bits(tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "weight": ("I8", (8, 16), None),
        "SCB": ("F32", (8,), None),
        "weight_format": ("U8", (), None),
    }
    assert list(check_bnb8(module(tmp_path, good), None)) == []
    assert [f.code for f in check_bnb8(module(tmp_path, good, SCB=("F32", (7,), None)), None)] == [
        "part-shape"
    ]
    assert [f.code for f in check_bnb8(module(tmp_path, good, SCB=("F16", (8,), None)), None)] == [
        "part-type"
    ]
    assert [f.code for f in check_bnb8(module(tmp_path, good, weight=("F16", (8, 16), None)), None)] == [
        "part-type"
    ]


def test_what_bitsandbytes_wrote(tmp_path: Path) -> None:
    golden = Path(__file__).parents[2] / "checkpoints/codecs/golden"
    for path in golden.glob("bnb*.safetensors"):
        data = path.read_bytes()
        ((_, walk),) = (home := weight_folders(written(tmp_path, {"model.safetensors": data}))[0]).walks
        packed = [m for m in gathered(home.tensors()).values() if m.packing in ("bnb4", "bnb8")]
        assert packed
        for found in packed:
            if found.packing == "bnb8":
                assert list(check_bnb8(found, None)) == []
                continue
            assert list(check_bnb4(found, None)) == []
            state = found.parts[state_part(found) or ""].tensor
            raw = data[walk.data_start + state.begin : walk.data_start + state.end]
            assert list(check_state(found, raw)) == []


def hqq(**changes: Any) -> dict[str, Any]:
    parts = {"W_q": ("U8", (32, 8), None), "scale": ("F16", (64, 1), None), "zero": ("F16", (64, 1), None),
             "nbits": ("I32", (), None), "shape": ("I32", (2,), None), "group_size": ("I32", (), None)}  # fmt: skip
    return {**parts, **changes}


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"scale": None}, ["part-missing"]),
        ({"zero": None}, ["part-missing"]),
        ({"W_q": ("F64", (32, 8), None)}, ["part-type", "bits"]),
        ({"W_q": ("I32", (32, 8), None)}, ["bits"]),
        ({"zero": ("F16", (63, 1), None)}, ["part-shape"]),
        ({"W_q": ("U8", (1, 8), None)}, ["part-shape"]),
    ],
)
def test_hqq(tmp_path: Path, changes: dict[str, Any], codes: list[str]) -> None:
    claim: Claim | None = claim_of("c", HQQ)
    assert [f.code for f in check_hqq(module(tmp_path, hqq(**changes)), claim)] == codes


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ({"nbits": (4,), "shape": (16, 32), "group_size": (8,)}, []),
        ({}, []),
        ({"nbits": (5,)}, ["state"]),
        ({"nbits": (4,), "shape": (16, 64)}, ["state"]),
        ({"nbits": (4,), "shape": (16, 16)}, ["state"]),
        ({"nbits": (4,), "shape": (16, 32), "group_size": (16,)}, ["group"]),
    ],
)
def test_hqq_settings(tmp_path: Path, settings: dict[str, tuple[int, ...]], codes: list[str]) -> None:
    assert [f.code for f in check_hqq_settings(module(tmp_path, hqq()), settings)] == codes


def test_hqq_of_three_bits_is_padded(tmp_path: Path) -> None:
    # ten codes a word along the first dimension: 64 groups need seven words of a column
    found = module(tmp_path, hqq(W_q=("I32", (7, 8), None)))
    assert list(check_hqq_settings(found, {"nbits": (3,), "shape": (16, 32), "group_size": (8,)})) == []


@given(st.binary(max_size=80) | st.recursive(
    st.integers() | st.text(max_size=4) | st.none(),
    lambda inner: st.dictionaries(st.sampled_from(["shape", "blocksize", "nested_blocksize"]), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_descriptions_never_raise(raw: bytes) -> None:
    held = Held(
        Entry("m", 0, "safetensors", None),
        SafetensorsWalk("m", 0),
        StoredTensor("x.weight", "U8", (64,), 0, 64),
    )
    assert all(fault.text for fault in check_state(Module("x", {"weight": held}), raw))

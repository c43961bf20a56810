import struct
from pathlib import Path
from typing import Any

import pytest
from tensor_folders import MemoryBytes, file_of

from qaudit.static.folder_view import Entry
from qaudit.static.tensors import value_reading
from qaudit.static.tensors.safetensors_walk import walk_safetensors
from qaudit.static.tensors.value_reading import (
    Budget,
    by_file,
    index_facts,
    raw_bytes,
    scale_facts,
    whole_numbers,
)
from qaudit.static.tensors.weight_files import Held


def lying(
    dtype: str, shape: tuple[int, ...], data: bytes | None, path: str = "m"
) -> tuple[MemoryBytes, Held]:
    source = MemoryBytes(file_of({"pad": ("U8", (3,), None), "x": (dtype, shape, data)}), path)
    walk = walk_safetensors(source)
    return source, Held(Entry(path, source.size, "safetensors", None), walk, walk.tensors[1])


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}e", *values)


def test_scales() -> None:
    source, held = lying("F16", (6,), floats(1, -2, 0, float("nan"), float("inf"), 3))
    facts = scale_facts(source, held, Budget())
    assert facts is not None
    assert (facts.count, facts.not_finite, facts.negative, facts.zero) == (6, 2, 1, 1)
    assert facts.first == "nan at value 3"


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0"])
def test_all_types_of_floats(dtype: str) -> None:
    facts = scale_facts(*lying(dtype, (4,), None), Budget())
    assert facts is not None
    assert facts.count == 4


def test_powers_of_two_in_bytes() -> None:
    facts = scale_facts(*lying("U8", (2,), b"\x7f\xff"), Budget(), "F8_E8M0")
    assert facts is not None
    assert facts.not_finite == 1


def test_other_types_have_no_facts() -> None:
    assert scale_facts(*lying("I32", (4,), None), Budget()) is None
    assert index_facts(*lying("F32", (4,), None), Budget(), 1, 4) is None


@pytest.mark.parametrize("kind", ["i", "q"])
def test_groups(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype = {"i": "I32", "q": "I64"}[kind]

    def facts(*values: int) -> Any:
        found = index_facts(
            *lying(dtype, (len(values),), struct.pack(f"<{len(values)}{kind}", *values)), Budget(), 2, 3
        )
        assert found is not None
        return found

    assert facts(0, 0, 1, 1, 2, 2).in_order
    assert not facts(0, 1, 1, 0, 2, 2).in_order
    bad = facts(0, 0, 1, 3, 2, -1)
    assert (bad.first_bad, bad.lowest, bad.highest) == (3, -1, 3)
    monkeypatch.setattr(value_reading, "PIECE", 16)
    assert facts(0, 0, 1, 1, 2, 2, 3).first_bad == 6
    assert facts(0, 0, 1, 1, 2, 2).in_order


def test_budget() -> None:
    small, large = MemoryBytes(b""), MemoryBytes(b"")
    object.__setattr__(large, "data", range(value_reading.WHOLE_BELOW + 1))
    budget = Budget(left=100)
    assert budget.of(small, 1 << 40, 8) == 1 << 40
    assert budget.of(large, 50, 60) == 50
    assert (budget.sampled, budget.left) == (0, 50)
    assert budget.of(large, 500, 60) == 50
    assert budget.of(large, 500, 60) == 0
    assert (budget.sampled, budget.read) == (2, 4)
    shared = Budget(deep=True, whole=70)
    assert [shared.of(large, 50, 8) for _ in range(3)] == [50, 20, 0]
    assert Budget(deep=True).of(large, 1 << 40, 8) == 1 << 40


def test_small_tensors() -> None:
    source, held = lying("I64", (2,), struct.pack("<2q", 7, -3))
    assert whole_numbers(source, held) == (7, -3)
    assert whole_numbers(source, held, 1) == (7,)
    assert raw_bytes(source, held, 3) == b"\7\0\0"
    assert whole_numbers(*lying("F32", (1,), None)) == ()


def test_a_tensor_that_lies_outside_is_empty(tmp_path: Path) -> None:
    source, held = lying("F32", (2,), None)
    cut = MemoryBytes(source.data[: held.walk.data_start + 5])
    facts = scale_facts(cut, held, Budget())
    assert facts is not None
    assert facts.count == 0
    assert whole_numbers(cut, held) == ()


def test_by_file() -> None:
    (_, one), (_, two) = lying("U8", (1,), None, "b"), lying("U8", (1,), None, "a")
    assert [path for path, _ in by_file([one, two, one])] == ["a", "b"]

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.checkpoints.shard_names import MAX_SHARDS, SHARD_NAME, names_of_set, set_of_name, shard_name


@given(st.text(min_size=1), st.integers(1, MAX_SHARDS), st.data())
def test_any_name_of_a_set_gives_the_whole_set(stem: str, count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, count))
    name = shard_name(stem, number, count)
    names = set_of_name(name)
    assert names == names_of_set(stem, count)
    assert names[number - 1] == name
    match = SHARD_NAME.fullmatch(name)
    assert match is not None
    assert (match["stem"], int(match["number"]), int(match["count"])) == (stem, number, count)


@pytest.mark.parametrize(
    "name",
    [
        "model.gguf", "-00001-of-00002.gguf", "m-00000-of-00002.gguf", "m-00003-of-00002.gguf",
        f"m-00001-of-{MAX_SHARDS + 1:05d}.gguf", "m-1-of-2.gguf", "m-00001-of-00002.gguf.part",
        "m-00001-of-00002.safetensors", "m-٠٠٠٠١-of-٠٠٠٠٢.gguf", "",
    ],
)  # fmt: skip
def test_a_name_of_no_possible_set_stands_alone(name: str) -> None:
    assert set_of_name(name) == [name]


def test_it_can_be_had_without_what_reads_models() -> None:
    code = "import sys, qaudit.checkpoints.shard_names; print([m for m in ('numpy', 'gguf') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

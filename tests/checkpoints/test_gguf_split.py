"""Split sets: read whole from any of their files, refused when the files are not one set."""

import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from attacks.gguf_builder import (
    ARRAY,
    BOOL,
    F32,
    I32,
    STRING,
    U8,
    U16,
    U32,
    GgufBuilder,
    Tensor,
    split_pairs,
    strings,
)  # fmt: skip

from qaudit.checkpoints import gguf_split
from qaudit.checkpoints.gguf_split import read_split, shard_paths
from qaudit.checkpoints.shard_names import MAX_SHARDS
from qaudit.errors import InputError, LimitExceeded, MalformedFile


def shard(number: int, count: int, total: int | None = None, name: str | None = None) -> GgufBuilder:
    tensor = Tensor(name=name or f"blk.{number}.attn_q.weight")
    return GgufBuilder(pairs=split_pairs(number, count, total), tensors=[tensor])


def split(folder: Path, shards: list[GgufBuilder]) -> Path:
    for number, builder in enumerate(shards, start=1):
        builder.write(folder / f"m-{number:05d}-of-{len(shards):05d}.gguf")
    return folder / f"m-00001-of-{len(shards):05d}.gguf"


def test_a_split_set_reads_from_any_of_its_files(tmp_path: Path) -> None:
    first = split(tmp_path, [shard(0, 2, 2), shard(1, 2)])
    assert len(shard_paths(first)) == 2
    for path in shard_paths(first):
        files = read_split(path)
        assert [f.tensors[0].name for f in files] == ["blk.0.attn_q.weight", "blk.1.attn_q.weight"]
        assert files[0].path == first


def test_a_set_that_gguf_py_wrote(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "w.gguf", "llama", split_max_tensors=2)
    for number in range(5):
        writer.add_tensor(f"t{number}.weight", np.full((4, 32), number, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    paths = sorted(tmp_path.glob("*.gguf"))
    assert [p.name for p in paths] == [f"w-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    files = read_split(paths[2])
    assert [t.name for f in files for t in f.tensors] == [f"t{n}.weight" for n in range(5)]
    assert [f.metadata["split.tensors.count"] for f in files] == [5, 5, 5]


@pytest.mark.parametrize("count", [None, 0, 1])
def test_a_file_that_is_not_split(tmp_path: Path, count: int | None) -> None:
    pairs: list[Any] = [] if count is None else [("split.count", U16, count)]
    path = GgufBuilder(pairs=pairs).write(tmp_path / "m.gguf")
    assert [file.path for file in read_split(path)] == [path]


def test_a_shard_under_a_name_of_its_own_is_refused(tmp_path: Path) -> None:
    path = shard(0, 2, 2).write(tmp_path / "model.gguf")
    with pytest.raises(MalformedFile, match=r"split\.count is 2, found 1 files; restore the shard names"):
        read_split(path)


def test_a_whole_model_under_the_name_of_a_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match=r"split\.count is 0, found 2 files"):
        read_split(split(tmp_path, [GgufBuilder(), GgufBuilder()]))


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([shard(0, 3, 2), shard(1, 3)], "split.count is 3, found 2"),
        ([shard(0, 2, 2), shard(1, 3)], "is not shard 2 of 2"),
        ([shard(0, 2, 2), shard(0, 2)], "is not shard 2 of 2"),
        ([shard(1, 2, 2), shard(0, 2)], "is not shard 1 of 2"),
        ([shard(0, 2, 2), GgufBuilder()], "is not shard 2 of 2"),
        ([shard(0, 2, 5), shard(1, 2)], "split.tensors.count is 5, the shards hold 2"),
        ([shard(0, 2, -2), shard(1, 2)], "split.tensors.count is -2, the shards hold 2"),
        ([shard(0, 2, 2), shard(1, 2, name="blk.0.attn_q.weight")], "is in another shard too"),
    ],
)
def test_shards_that_do_not_belong_together(tmp_path: Path, shards: list[GgufBuilder], message: str) -> None:
    with pytest.raises(MalformedFile) as caught:
        read_split(split(tmp_path, shards))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (BOOL, True), (F32, 2.0), (STRING, "2"), (ARRAY, (U16, [2])), (ARRAY, (U16, [1, 2])),
        (ARRAY, strings(["2"])), (ARRAY, (U8, [])),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["split.count", "split.no", "split.tensors.count"])
def test_split_keys_of_the_wrong_type(tmp_path: Path, key: str, kind: int, content: Any) -> None:
    honest = {"split.no": (U16, 0), "split.count": (U16, 2), "split.tensors.count": (I32, 2)}
    pairs = [(name, *((kind, content) if name == key else honest[name])) for name in honest]
    first = GgufBuilder(pairs=pairs, tensors=[Tensor(name="a")])
    with pytest.raises(MalformedFile, match=r"is .*, not a whole number"):
        read_split(split(tmp_path, [first, shard(1, 2)]))


def test_other_widths_of_the_split_keys_are_fine(tmp_path: Path) -> None:
    first = GgufBuilder(pairs=[("split.no", U32, 0), ("split.count", U8, 2)], tensors=[Tensor(name="a")])
    assert len(read_split(split(tmp_path, [first, shard(1, 2)]))) == 2


def test_a_missing_shard(tmp_path: Path) -> None:
    first = split(tmp_path, [shard(0, 2, 2), shard(1, 2)])
    second = tmp_path / "m-00002-of-00002.gguf"
    second.unlink()
    with pytest.raises(MalformedFile, match=r"00002-of-00002\.gguf: this shard of a split set is missing"):
        read_split(first)
    os.mkfifo(second)
    with pytest.raises(MalformedFile, match="this shard of a split set is missing"):
        read_split(first)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m-00009-of-00002.gguf", "claims shard 9 of 2"),
        ("m-00000-of-00002.gguf", "claims shard 0 of 2"),
        ("m-00001-of-00000.gguf", "claims shard 1 of 0"),
    ],
)
def test_impossible_names(name: str, message: str) -> None:
    with pytest.raises(MalformedFile, match=message):
        shard_paths(Path(name))


def test_a_name_that_claims_too_many_shards() -> None:
    with pytest.raises(LimitExceeded, match=f"claims 99999 shards, the cap is {MAX_SHARDS}"):
        shard_paths(Path("m-00001-of-99999.gguf"))


@pytest.mark.parametrize(
    "name",
    [
        "m.gguf", "m-1-of-2.gguf", "-00001-of-00002.gguf", "m-00001-of-00002.gguf\n", "m-00001-of-00002.GGUF",
        # digits of another script: int() would take them, llama.cpp does not
        "m-٠٠٠٠١-of-٠٠٠٠٢.gguf",
    ],
)  # fmt: skip
def test_names_that_are_not_those_of_shards(name: str) -> None:
    assert shard_paths(Path(name)) == [Path(name)]


def test_a_name_too_long_to_look_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File name too long"):
        shard_paths(tmp_path / f"{'n' * 300}-00001-of-00002.gguf")


@pytest.mark.parametrize(("cap", "value"), [("MAX_HEADER", 200), ("MAX_TENSORS", 1)])
def test_the_caps_of_a_file_hold_for_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cap: str, value: int
) -> None:
    first = split(tmp_path, [shard(0, 2, 2), shard(1, 2)])
    monkeypatch.setattr(gguf_split, cap, value)
    with pytest.raises(LimitExceeded, match=r"00002-of-00002\.gguf: the (headers|shards) up to here"):
        read_split(first)

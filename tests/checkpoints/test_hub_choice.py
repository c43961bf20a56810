import json
from pathlib import Path

import pytest

from qaudit.checkpoints.hub_choice import gguf_files, require_bounds, small_files, weight_files
from qaudit.checkpoints.hub_listing import HubFile, Listing
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.errors import InputError, LimitExceeded, MalformedFile


def listing(*paths: str, size: int = 1) -> Listing:
    files = tuple(HubFile(path=path, size=size, sha256="a" * 64) for path in sorted(paths))
    return Listing(repo="o/r", commit="c" * 40, files=files)


def spec(file: str | None = None) -> HubSpec:
    return HubSpec("o/r", "main", file)


def paths(files: list[HubFile] | None) -> list[str]:
    return [file.path for file in files or []]


def test_one_gguf() -> None:
    assert paths(gguf_files(listing("a.gguf", "b.gguf", "config.json"), spec("b.gguf"))) == ["b.gguf"]
    assert gguf_files(listing("a.gguf"), spec("b.gguf")) is None
    assert gguf_files(listing("a.gguf"), spec()) is None


def test_a_split_set_from_any_of_its_parts() -> None:
    parts = [f"sub/m-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]
    for part in parts:
        assert paths(gguf_files(listing(*parts, "sub/n-00001-of-00003.gguf"), spec(part))) == parts
    with pytest.raises(MalformedFile, match=r"lists no 'sub/m-00002-of-00003\.gguf', a shard of the set"):
        gguf_files(listing(parts[0], parts[2]), spec(parts[0]))


def test_a_set_of_too_many_parts() -> None:
    name = "m-00001-of-99999.gguf"
    with pytest.raises(LimitExceeded, match="claims 99999 shards"):
        gguf_files(listing(name), spec(name))


@pytest.mark.parametrize(
    ("file", "folder"), [("model.safetensors", "hf://o/r@main"), ("sub/config.json", "hf://o/r@main/sub")]
)
def test_a_part_of_a_folder_is_no_checkpoint(file: str, folder: str) -> None:
    with pytest.raises(InputError, match=f"is no checkpoint by itself; .*the folder: {folder}$"):
        gguf_files(listing(file), spec(file))


def test_the_small_files_of_a_folder() -> None:
    held = listing(
        "config.json", "tokenizer.json", "model.safetensors", "x.gguf", "sub/config.json", "sub/merges.txt"
    )
    assert paths(small_files(held, spec())) == ["config.json", "tokenizer.json"]
    assert paths(small_files(held, spec("sub"))) == ["sub/config.json", "sub/merges.txt"]


@pytest.mark.parametrize(
    ("held", "file", "why"),
    [
        ((), None, r"holds no config\.json and no GGUF; name another repository"),
        (("b.gguf", "a.gguf"), None, r"holds no config\.json; name the file or folder in it, such as hf://o/r@main/a\.gguf$"),
        (("sub/config.json",), None, r"such as hf://o/r@main/sub$"),
        (("a.gguf",), "b.gguf", r"no such file or model that qaudit reads; .*such as hf://o/r@main/a\.gguf$"),
        (("sub/b.gguf", "a.gguf"), "sub", r"such as hf://o/r@main/sub/b\.gguf$"),
        (("config.json",), "pytorch_model.bin", "no such file or model that qaudit reads"),
        (("config.json",), "nothing", "no such file or model"),
    ],
)  # fmt: skip
def test_no_model_there(held: tuple[str, ...], file: str | None, why: str) -> None:
    with pytest.raises(InputError, match=why):
        small_files(listing(*held), spec(file))


def test_a_small_file_that_is_not() -> None:
    with pytest.raises(LimitExceeded, match=r"config\.json has 1099511627776 bytes"):
        small_files(listing("config.json", size=1 << 40), spec())


def write_index(folder: Path, *names: str) -> None:
    told = {"weight_map": {f"t{i}": name for i, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(told))


def test_weights_are_chosen_as_they_are_opened(tmp_path: Path) -> None:
    write_index(tmp_path, "b.safetensors", "a.safetensors", "b.safetensors")
    index = "model.safetensors.index.json"
    both = ("a.safetensors", "b.safetensors")
    assert paths(weight_files(listing("model.safetensors", index, *both), spec(), tmp_path)) == [
        "model.safetensors"
    ]
    assert paths(weight_files(listing(index, *both, "consolidated.safetensors"), spec(), tmp_path)) == [*both]
    assert paths(weight_files(listing("only.safetensors", "sub/x.safetensors"), spec(), tmp_path)) == [
        "only.safetensors"
    ]
    in_folder = listing(f"s/{index}", "s/a.safetensors", "s/b.safetensors")
    assert paths(weight_files(in_folder, spec("s"), tmp_path)) == ["s/a.safetensors", "s/b.safetensors"]


def test_weights_that_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 2 safetensors files and no model\.safetensors\.index\.json"):
        weight_files(listing("a.safetensors", "b.safetensors"), spec(), tmp_path)
    with pytest.raises(InputError, match="holds no safetensors, and pickles are never opened"):
        weight_files(listing("config.json"), spec(), tmp_path)
    write_index(tmp_path, "a.safetensors", "gone.safetensors")
    index = "model.safetensors.index.json"
    with pytest.raises(MalformedFile, match=r"lists no 'gone\.safetensors', a file that its index names"):
        weight_files(listing(index, "a.safetensors"), spec(), tmp_path)
    for evil in ("../x.safetensors", "/etc/x.safetensors", "pytorch_model.bin", "a\\b.safetensors"):
        write_index(tmp_path, evil)
        with pytest.raises(MalformedFile, match="is no safetensors file beside it"):
            weight_files(listing(index, "a.safetensors"), spec(), tmp_path)


def test_bounds() -> None:
    files = listing(*(f"{i}.gguf" for i in range(2001)), size=3).files
    assert require_bounds(spec(), files[:2000], None) == 6000
    assert require_bounds(spec(), files[:2], 6) == 6
    with pytest.raises(LimitExceeded, match="made of 2001 files, more than 2000"):
        require_bounds(spec(), files, None)
    with pytest.raises(LimitExceeded, match="has 6 bytes, more than the 5 allowed"):
        require_bounds(spec(), files[:2], 5)

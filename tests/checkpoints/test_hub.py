import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.by_hand import safetensors_bytes, stored
from checkpoints.hub_models import BIG, CHUNK, READ, REFERENCE, SMALL, below, get
from loopback_hub import LoopbackHub, row

import qaudit
from qaudit.errors import InputError, LimitExceeded, MalformedFile, OutputProblem


def test_a_gguf_of_the_lab_opens_and_is_named_by_its_commit(hub: LoopbackHub, q8: Path) -> None:
    commit = hub.push("lab/zoo", {"Q8_0.gguf": q8.read_bytes(), "other.gguf": b"not asked for"})
    checkpoint = qaudit.open_checkpoint("hf://lab/zoo/Q8_0.gguf")
    local = qaudit.open_checkpoint(q8)
    assert checkpoint.info.path == f"hf://lab/zoo@{commit}/Q8_0.gguf"
    assert checkpoint.path.is_file()
    assert checkpoint.info.sha256 == local.info.sha256 == row("x.gguf", q8.read_bytes())["lfs"]["sha256"]
    assert checkpoint.info.files == local.info.files
    assert np.array_equal(checkpoint.rows("blk.0.attn_q"), local.rows("blk.0.attn_q"))
    assert hub.bytes_of("other.gguf") == 0
    # a Path that has lost a slash means the same
    assert qaudit.open_checkpoint(Path(f"hf://lab/zoo@{commit}/Q8_0.gguf")).info == checkpoint.info


def test_the_labs_folder_opens(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.push("lab/reference", {p.name: p.read_bytes() for p in REFERENCE.iterdir()})
    told: list[tuple[int, int]] = []
    checkpoint = qaudit.open_checkpoint("hf://lab/reference@main", progress=lambda *now: told.append(now))
    read = shutil.copytree(REFERENCE, tmp_path / "read", ignore=shutil.ignore_patterns("README.md"))
    local = qaudit.open_checkpoint(read)
    assert checkpoint.info.path == f"hf://lab/reference@{commit}"
    assert checkpoint.path.is_dir()
    assert checkpoint.info.sha256 == local.info.sha256
    assert checkpoint.tokenizer_digest == local.tokenizer_digest
    assert checkpoint.chat_template == local.chat_template
    assert hub.bytes_of("README.md") == 0
    # what somebody else brought into the cache is not of it
    (checkpoint.path / "README.md").write_text("brought by another tool")
    assert qaudit.open_checkpoint("hf://lab/reference@main").info.sha256 == local.info.sha256
    # told before anything comes, never backwards within one total, and all of it in the end
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] == sum(file.size for file in checkpoint.info.files)
    assert told == sorted(told)
    assert len({total for _, total in told}) == 2


def test_only_what_is_read_is_downloaded(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", SMALL)
    fetched = get()
    assert below(fetched.path) == READ
    assert {file.path for file in fetched.files} == READ
    assert str(fetched.spec) == f"hf://o/r@{commit}"
    assert not any(a.path.endswith((".py", ".bin", ".md")) for a in hub.asked)
    assert all(file.size == len(SMALL[file.path]) for file in fetched.files)


def test_weights_wait_for_what_is_looked_at_first(hub: LoopbackHub) -> None:
    hub.push("o/r", SMALL)
    seen: list[set[str]] = []

    def refuse(folder: Path) -> None:
        seen.append(below(folder))
        raise InputError("not this one")

    with pytest.raises(InputError, match="not this one"):
        qaudit.open_checkpoint("hf://o/r", before_weights=refuse)
    assert seen == [READ - {"model.safetensors"}]
    assert hub.bytes_of("model.safetensors") == 0
    looked: list[Path] = []
    checkpoint = qaudit.open_checkpoint("hf://o/r", before_weights=looked.append)
    assert looked == [checkpoint.path]


def test_a_folder_in_a_repository(hub: LoopbackHub) -> None:
    commit = hub.push("o/r", {f"awq/4bit/{name}": data for name, data in SMALL.items()})
    checkpoint = qaudit.open_checkpoint("hf://o/r/awq/4bit")
    assert checkpoint.info.path == f"hf://o/r@{commit}/awq/4bit"
    assert checkpoint.rows("model.proj").shape == (3, 4)
    with pytest.raises(
        InputError, match=f"name the file or folder in it, such as hf://o/r@{commit}/awq/4bit"
    ):
        qaudit.open_checkpoint("hf://o/r")


def test_the_shards_of_an_index_and_no_others(hub: LoopbackHub) -> None:
    parts = {
        f"model-0000{i}-of-00002.safetensors": safetensors_bytes(
            {f"m.{i}.weight": stored(np.ones((2, 2), np.float32))}
        )
        for i in (1, 2)
    }
    index = {"weight_map": {f"m.{i}.weight": f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}}
    files = {
        **SMALL,
        **parts,
        "model.safetensors.index.json": json.dumps(index).encode(),
        "consolidated.safetensors": BIG,
    }
    del files["model.safetensors"]
    hub.push("o/r", files)
    checkpoint = qaudit.open_checkpoint("hf://o/r")
    assert [*checkpoint.names()] == ["m.1", "m.2"]
    assert hub.bytes_of("consolidated.safetensors") == 0
    total = sum(file.size for file in checkpoint.info.files)
    assert get(max_bytes=total).files
    with pytest.raises(LimitExceeded, match=f"has {total} bytes, more than the {total - 1} allowed"):
        get(max_bytes=total - 1)


def test_a_split_gguf_comes_with_its_siblings(hub: LoopbackHub) -> None:
    names = [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    hub.push("o/r", {name: name.encode() for name in names})
    fetched = get(f"hf://o/r/{names[1]}")
    assert fetched.path.name == names[1]
    assert below(fetched.path.parent) == {*names}


def test_a_branch_that_moves_takes_nobody_who_is_pinned_along(hub: LoopbackHub) -> None:
    old = hub.push("o/r", {"q.gguf": b"old"})
    first = get("hf://o/r@main/q.gguf")
    new = hub.push("o/r", {"q.gguf": b"new!"})
    second = get("hf://o/r@main/q.gguf")
    assert (str(first.spec), str(second.spec)) == (f"hf://o/r@{old}/q.gguf", f"hf://o/r@{new}/q.gguf")
    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"old", b"new!")
    assert get(str(first.spec)).path == first.path


def test_a_branch_that_moves_while_it_is_fetched(hub: LoopbackHub) -> None:
    old = hub.push("o/r", SMALL)

    def move(done: int, _: int) -> None:
        if done:
            hub.push("o/r", {**SMALL, "config.json": b'{"model_type": "evil"}'})

    fetched = get(progress=move)
    assert fetched.spec.revision == old
    assert (fetched.path / "config.json").read_bytes() == SMALL["config.json"]
    assert all(f"/resolve/{old}/" in a.path for a in hub.asked[1:])


def test_a_second_run_downloads_nothing(hub: LoopbackHub) -> None:
    hub.push("o/r", SMALL)
    first = get()
    before = len(hub.asked)
    assert get() == first
    assert [a.path for a in hub.asked[before:]] == ["/api/models/o/r/revision/main"]


def test_another_commit_with_the_same_bytes_downloads_only_what_changed(hub: LoopbackHub) -> None:
    hub.push("o/r", SMALL)
    get()
    hub.push("o/r", {**SMALL, "chat_template.jinja": b"new"})
    before = hub.bytes_sent
    assert (get().path / "chat_template.jinja").read_bytes() == b"new"
    assert hub.bytes_sent - before == 3


def test_what_the_library_downloaded_is_used_and_the_other_way_round(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    from huggingface_hub import hf_hub_download, snapshot_download

    commit = hub.push("o/r", SMALL)
    options = {"endpoint": hub.endpoint, "cache_dir": tmp_path / "hf"}
    theirs = hf_hub_download("o/r", "model.safetensors", revision=commit, **options)
    before = hub.bytes_of("model.safetensors")
    fetched = get()
    assert str(fetched.path / "model.safetensors") == theirs
    assert hub.bytes_of("model.safetensors") == before > 0
    assert snapshot_download("o/r", revision=commit, local_files_only=True, **options) == str(fetched.path)


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja"])
def test_bytes_that_the_hub_does_not_list_are_refused_and_forgotten(
    hub: LoopbackHub, name: str, tmp_path: Path
) -> None:
    commit = hub.push("o/r", SMALL)
    hub.tampered[name] = bytes([SMALL[name][0] ^ 1]) + SMALL[name][1:]
    with pytest.raises(
        MalformedFile,
        match=rf"^hf://o/r@{commit}/{name}: what 127\.0\.0\.1:[0-9]+ sent has the .* the hub lists ",
    ):
        get()
    assert name not in below(tmp_path / "hf")
    assert not [path for path in below(tmp_path / "hf") if "incomplete" in path]
    hub.tampered.clear()
    assert (get().path / name).read_bytes() == SMALL[name]


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja"])
def test_a_cache_that_was_poisoned_is_refused_and_not_used_again(hub: LoopbackHub, name: str) -> None:
    hub.push("o/r", SMALL)
    path = get().path / name
    path.write_bytes(b"evil" + SMALL[name][4:])
    with pytest.raises(MalformedFile, match=r"the copy in the cache has the .* was removed: run again"):
        get()
    assert not path.is_symlink()
    assert (get().path / name).read_bytes() == SMALL[name]


def test_a_template_that_somebody_put_beside_the_model_is_noticed(hub: LoopbackHub) -> None:
    hub.push("o/r", {name: data for name, data in SMALL.items() if name != "chat_template.jinja"})
    (get().path / "chat_template.jinja").write_text("planted")
    with pytest.raises(MalformedFile, match=r"the hub lists no 'chat_template\.jinja' for this commit"):
        get()


def test_a_listing_that_lies_about_sizes(hub: LoopbackHub) -> None:
    hub.push("o/r", {"q.gguf": BIG})

    def with_size(size: int) -> None:
        def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            told = {**rows[0], "size": size, "lfs": {**rows[0]["lfs"], "size": size}}
            return [told]

        hub.listed = change
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)

    with_size(100)
    with pytest.raises(MalformedFile, match="sends more than the 100 bytes"):
        get("hf://o/r/q.gguf")
    with_size(len(BIG) + 100)
    with pytest.raises(MalformedFile, match=f"sent {len(BIG)} bytes and lists"):
        get("hf://o/r/q.gguf")
    with_size(1 << 49)
    with pytest.raises(OutputProblem, match=r"bytes free and .* needs .* more; free space"):
        get("hf://o/r/q.gguf")


def test_a_limit_is_kept_before_anything_is_downloaded(hub: LoopbackHub) -> None:
    hub.push("o/r", {"q.gguf": BIG})
    with pytest.raises(LimitExceeded, match=f"has {len(BIG)} bytes, more than the 1000 allowed"):
        qaudit.open_checkpoint("hf://o/r/q.gguf", max_bytes=1000)
    assert hub.bytes_sent == 0


def test_a_gated_model(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("o/r", SMALL)
    hub.token, hub.gated = "hf_right", True
    with pytest.raises(InputError, match="ask for it on the model's page, then set HF_TOKEN"):
        qaudit.open_checkpoint("hf://o/r")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert qaudit.open_checkpoint("hf://o/r").architecture == "llama"


def test_errors_of_the_model_are_those_of_any_file(hub: LoopbackHub) -> None:
    hub.push("o/r", {"q.gguf": b"not a model"})
    with pytest.raises(MalformedFile, match="not a GGUF file"):
        qaudit.open_checkpoint("hf://o/r/q.gguf")
    with pytest.raises(InputError, match="is no name on a hub"):
        qaudit.open_checkpoint("hf://o")


def test_nothing_is_printed_and_the_environment_stays(hub: LoopbackHub) -> None:
    hub.warning = "topic; something of the hub's"
    hub.push("o/r", {"q.gguf": BIG})
    hub.cuts["q.gguf"] = [CHUNK]  # the library would warn that it tries again
    program = (
        "import os; before = dict(os.environ)\n"
        "from qaudit.checkpoints.hub import fetch, parse_hub_spec\n"
        "fetch(parse_hub_spec('hf://o/r/q.gguf'))\n"
        "raise SystemExit(dict(os.environ) != before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600,
        cwd=Path(qaudit.__file__).parents[1],
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert hub.bytes_sent == len(BIG)


def test_without_the_library_the_extra_is_named_and_local_files_open(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    folder = tmp_path / "local"
    folder.mkdir()
    for name in READ:
        (folder / name).write_bytes(SMALL[name])
    program = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "import qaudit\n"
        "qaudit.open_checkpoint(sys.argv[1])\n"
        "try: qaudit.open_checkpoint('hf://o/r')\n"
        "except qaudit.errors.MissingExtra as error: print(error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(folder)], check=True, capture_output=True, text=True, timeout=600,
        cwd=Path(qaudit.__file__).parents[1],
    )  # fmt: skip
    assert told.stdout == "huggingface_hub is not installed; run: pip install 'qaudit[hub]'\n"

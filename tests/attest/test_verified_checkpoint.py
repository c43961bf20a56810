"""The copy that a loader is given: it passed the gate, and stays what it was while others write."""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from attest.oms_publisher import Publisher
from release_kit import NOW, Release, file_rows, make_release, report_for

import qaudit
from qaudit.attest import verify
from qaudit.attest.files_differ import FilesDiffer
from qaudit.attest.verified_checkpoint import PREFIX, VerifiedCheckpoint, verified_checkpoint
from qaudit.errors import InputError, OutputProblem, VerificationFailed
from qaudit.releases.verifying import verify_release

EVIL = b"GGUF evil"


def held(release: Release, folder: Path, **options: object) -> VerifiedCheckpoint:
    folder.mkdir(exist_ok=True)
    return verified_checkpoint(
        release.checkpoint, folder=folder, **{"key": release.public, "now": NOW, **options}
    )


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """Where copies are made; nothing may stay there, however a test ends."""
    yield tmp_path / "room"
    assert not list((tmp_path / "room").glob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_is_held_whole_and_gone_afterwards(signed: Release, room: Path) -> None:
    before = contents(signed.checkpoint)
    holding = held(signed, room)
    with holding as path:
        assert path.name == signed.checkpoint.name
        assert contents(path) == before
        assert holding.verified.audited
        assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert not path.exists()
    assert contents(signed.checkpoint) == before


def test_a_file_is_held_under_its_name(signed_file: Release, room: Path) -> None:
    with held(signed_file, room) as path:
        assert path.name == "model.gguf"
        assert path.read_bytes() == signed_file.checkpoint.read_bytes()


def test_a_bundle_that_lies_elsewhere(release: Release, tmp_path: Path, room: Path) -> None:
    for name in ("out/audit.sigstore.json", "out2/.qaudit/audit.sigstore.json"):
        target = tmp_path / name
        target.parent.mkdir(parents=True)
        release.sign(out=target)
        with held(release, room, bundle=target) as path:
            assert (path / "weights.gguf").is_file()
    with pytest.raises(InputError, match=r"none\.sigstore\.json: cannot be read") as caught:
        held(release, room, bundle=tmp_path / "none.sigstore.json").__enter__()
    assert str(tmp_path / "none.sigstore.json") in str(caught.value)


@pytest.mark.parametrize("single", [False, True])
def test_the_usual_bundle_by_its_name(tmp_path: Path, room: Path, single: bool) -> None:
    release = make_release(tmp_path, single=single)
    assert release.sign().oms is not None
    with held(release, room, bundle=release.bundle) as path:
        assert path.name == release.checkpoint.name
    out = tmp_path / "out"
    verify_release(release.checkpoint, out=out, key=release.public, now=NOW, bundle=release.bundle)
    assert (out / ("model.gguf" if single else "model.sig")).is_file()


def test_the_oms_signature_of_a_bundle_that_lies_elsewhere(
    release: Release, tmp_path: Path, room: Path
) -> None:
    target = tmp_path / "out" / "X.sigstore.json"
    target.parent.mkdir()
    release.sign(out=target)
    with held(release, room, bundle=target) as path:
        assert (path / "weights.gguf").is_file()
    target.with_name("X.sig").write_bytes(b"evil")
    with pytest.raises(VerificationFailed, match=r"X\.sig: not the OMS signature that came with the audit"):
        held(release, room, bundle=target).__enter__()


def test_only_what_was_checked_is_held(signed_file: Release, room: Path) -> None:
    signed_file.checkpoint.with_name("model.sig").write_bytes(b"of another model")
    with held(signed_file, room) as path:
        assert "model.sig" not in contents(path.parent)
        assert "model.gguf.sig" in contents(path.parent)


def test_without_an_audit_it_is_asked_for(tmp_path: Path, room: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.sign()
    options = {"key": publisher.public, "now": NOW}
    room.mkdir()
    with pytest.raises(VerificationFailed, match="an audit is required"):
        verified_checkpoint(publisher.model, folder=room, **options).__enter__()
    with pytest.raises(VerificationFailed, match="an audit is required"):
        qaudit.verified_checkpoint(publisher.model, folder=room, **options).__enter__()
    with verified_checkpoint(publisher.model, folder=room, require_audit=False, **options) as path:
        assert (path / "weights.gguf").is_file()
    found = verify_release(publisher.model, out=tmp_path / "copied", **options)
    assert not found.verified.audited


def test_names_that_are_too_long(signed: Release, room: Path) -> None:
    for options in ({"bundle": "b" * 300}, {"key": "k" * 300}):
        with pytest.raises(InputError):
            held(signed, room, **options).__enter__()
        with pytest.raises(InputError):
            verify(signed.checkpoint, **{"key": signed.public, "now": NOW, **options})
    with pytest.raises(InputError, match="too long for a name"):
        verify("a" * 300, key=signed.public)
    with pytest.raises(InputError):
        verified_checkpoint("a" * 300, folder=room, key=signed.public).__enter__()


def test_all_parts_of_a_split_file_are_held(tmp_path: Path, room: Path) -> None:
    release = make_release(tmp_path, single=True)
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(b"GGUF" + part.name.encode())
    document = report_for(release.checkpoint, release.policy.read_bytes())
    document["checkpoint"]["files"] = [row for part in parts for row in file_rows(part)]
    release.report.write_text(json.dumps(document))
    split = replace(release, checkpoint=parts[1])
    split.sign()
    with held(split, room) as path:
        assert path.name == parts[1].name
        assert {p.name: p.read_bytes() for p in path.parent.glob("*.gguf")} == {
            p.name: p.read_bytes() for p in parts
        }


# ---- the window between check and use ----


def replace_file(path: Path, data: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(data)
    other.replace(path)


def write_in_place(path: Path, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.write(data)
        stream.truncate()


def swap_folder(path: Path, data: bytes) -> None:
    evil = shutil.copytree(path.parent, path.parent.with_name("evil"))
    (evil / path.name).write_bytes(data)
    path.parent.rename(path.parent.with_name("good"))
    evil.rename(path.parent)


SWAPS: dict[str, Callable[[Path, bytes], None]] = {
    "replaced": replace_file,
    "written in place": write_in_place,
    "folder swapped": swap_folder,
}


@pytest.mark.parametrize("how", SWAPS)
def test_a_swap_after_the_check_does_not_reach_the_loader(signed: Release, room: Path, how: str) -> None:
    weights = signed.checkpoint / "weights.gguf"
    good = weights.read_bytes()
    # the attack is a real one: whoever checks a path and then loads it loads the evil bytes
    verify(signed.checkpoint, key=signed.public, now=NOW)
    with held(signed, room) as path, weights.open("rb"):
        SWAPS[how](weights, EVIL)
        assert weights.read_bytes() == EVIL
        assert (path / "weights.gguf").read_bytes() == good
    with pytest.raises(FilesDiffer):
        held(signed, room).__enter__()


@contextmanager
def swapping(path: Path, good: bytes, evil: bytes) -> Iterator[list[int]]:
    """Write good and evil bytes to a file by turns, in place and by renaming, as fast as it goes."""
    stop, rounds = threading.Event(), [0]

    def swap() -> None:
        while not stop.is_set():
            rounds[0] += 1
            write = (write_in_place, replace_file)[rounds[0] % 2]
            write(path, (good, evil)[rounds[0] // 2 % 2])
            time.sleep(0.002)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join()


def test_swaps_while_it_is_copied_and_checked_never_give_other_bytes(tmp_path: Path, room: Path) -> None:
    release = make_release(tmp_path)
    weights = release.checkpoint / "weights.gguf"
    good = b"GGUF" + os.urandom(1 << 20)
    evil = good[:-1] + bytes([good[-1] ^ 1])
    weights.write_bytes(good)
    release = release.audited_again()
    release.sign()
    # `other` of replace_file would be an extra file of the checkpoint, so the swapper has its own folder
    aside = tmp_path / "aside"
    aside.mkdir()
    passed = refused = 0
    named: set[str] = set()
    with swapping(aside / "weights", good, evil) as rounds:
        while (passed < 3 or refused < 3 or rounds[0] <= 10) and passed + refused < 400:
            weights.unlink(missing_ok=True)
            try:
                os.link(aside / "weights", weights)
            except FileNotFoundError:
                continue
            try:
                with held(release, room) as path:
                    passed += 1
                    assert (path / "weights.gguf").read_bytes() == good
            except VerificationFailed as error:
                refused += 1
                named.add(str(error).partition(": ")[0])
    assert rounds[0] > 10
    assert passed > 0
    assert refused > 0
    assert named == {str(release.checkpoint)}


# ---- what is refused ----


def test_a_changed_checkpoint_is_refused_with_the_names_that_the_person_knows(
    signed: Release, room: Path
) -> None:
    (signed.checkpoint / "weights.gguf").write_bytes(EVIL)
    with pytest.raises(FilesDiffer, match=r"weights\.gguf: changed") as caught:
        held(signed, room).__enter__()
    assert str(caught.value).startswith(f"{signed.checkpoint}: not as signed")
    assert PREFIX not in str(caught.value)


@pytest.mark.parametrize("what", ["report.json", "policy.yaml", "audit.sigstore.json"])
def test_a_changed_companion_is_refused(signed: Release, room: Path, what: str) -> None:
    path = signed.checkpoint / ".qaudit" / what
    path.write_bytes(path.read_bytes().replace(b"e", b"f", 1))
    with pytest.raises(VerificationFailed) as caught:
        held(signed, room).__enter__()
    assert str(path) in str(caught.value)


def test_links_are_refused_and_not_followed(signed: Release, room: Path) -> None:
    (signed.checkpoint / "shadow").symlink_to("/etc/shadow")
    with pytest.raises(VerificationFailed, match="shadow: a symbolic link"):
        held(signed, room).__enter__()


def test_taking_the_bundle_away_is_refused_as_verify_does(signed: Release, room: Path) -> None:
    signed.bundle.unlink()
    with pytest.raises(VerificationFailed, match="taken away or damaged"):
        held(signed, room).__enter__()


def test_usage(signed: Release, room: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="nosuchoption"):
        verified_checkpoint(signed.checkpoint, key=signed.public, nosuchoption=1)
    with pytest.raises(InputError):  # any signer
        held(signed, room, key=None).__enter__()
    with pytest.raises(OutputProblem, match="cannot make a folder"):
        verified_checkpoint(signed.checkpoint, folder=tmp_path / "none", key=signed.public).__enter__()
    holding = held(signed, room)
    with pytest.raises(InputError, match="when the with block begins"):
        _ = holding.verified
    with pytest.raises(InputError, match=r"nothing.: cannot be read"):
        held(replace(signed, checkpoint=tmp_path / "nothing"), room).__enter__()


def test_an_error_in_the_block_removes_the_copy_and_travels_on(signed: Release, room: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(signed, room) as path:
        _ = 1 // 0
    assert not path.exists()


def test_another_process_can_open_it(signed: Release, room: Path) -> None:
    with held(signed, room) as path:
        program = "import sys; print(open(sys.argv[1], 'rb').read(4))"
        done = subprocess.run(
            [sys.executable, "-c", program, str(path / "weights.gguf")],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "b'GGUF'\n"


# ---- real loaders ----


@pytest.fixture
def lab_release(q8: Path, tmp_path: Path) -> Release:
    folder = tmp_path / "lab"
    folder.mkdir()
    release = make_release(folder, single=True)
    shutil.copy(q8, release.checkpoint)
    release = release.audited_again()
    release.sign()
    return release


def test_llama_cpp_maps_it_and_keeps_its_bytes_though_the_original_is_overwritten(
    lab_release: Release, room: Path
) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    with held(lab_release, room) as path:
        llama = llama_cpp.Llama(str(path), n_ctx=64, n_threads=1, verbose=False, use_mmap=True)
        said = llama.create_completion("hello", max_tokens=4, temperature=0.0)["choices"][0]["text"]
        write_in_place(lab_release.checkpoint, bytes(lab_release.checkpoint.stat().st_size))
        llama.reset()
        again = llama.create_completion("hello", max_tokens=4, temperature=0.0)["choices"][0]["text"]
        llama.close()
    assert said == again


def test_qaudit_itself_opens_it(lab_release: Release, room: Path) -> None:
    with held(lab_release, room) as path:
        assert qaudit.open_checkpoint(path).format == "gguf"


@pytest.mark.parametrize("name", ["a\0b.sigstore.json", "\ud800.sigstore.json", f"{'x' * 300}.sigstore.json"])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    release = make_release(tmp_path)
    with pytest.raises(InputError, match=r"not a usable path|too long for a name"):
        release.sign(out=name)
    with pytest.raises(InputError, match=r"not a usable path|too long for a name"):
        qaudit.attest.sign(name, report=release.report, key=release.key, policy=release.policy)
    release.sign()
    for bundle in (name, ".", "/"):
        with pytest.raises(InputError, match=r"usable path|too long|is a folder"):
            verify(release.checkpoint, key=release.public, bundle=bundle)
    with (
        pytest.raises(
            (InputError, OutputProblem), match=r"not a usable path|File name too long|No such file"
        ),
        verified_checkpoint(release.checkpoint, key=release.public, folder=name, now=NOW),
    ):
        pass

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attest.refusals import check, payload_of, refuse, resign_document
from release_kit import NOW, Release, make_release

from qaudit.attest.files_differ import FilesDiffer
from qaudit.errors import InputError
from qaudit.files import sha256_bytes

# ---- what passes ----


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_a_signed_release_verifies(tmp_path: Path, single: bool, kind: Any) -> None:
    release = make_release(tmp_path, single=single, kind=kind)
    signed = release.sign()
    verified = check(release)
    assert verified.audited
    assert verified.names == tuple(file.path for file in signed.files)
    assert verified.statement_sha256 == signed.statement_sha256
    assert verified.signed_by.identity == sha256_bytes(release.public.read_bytes())
    assert verified.audit is not None
    assert verified.audit.policy.name == "house"
    assert verified.report is not None
    assert verified.report.read_bytes() == release.report.read_bytes()
    assert (verified.bundle, verified.policy) == (signed.places.bundle, signed.places.policy)


def test_a_release_verifies_after_it_moved(signed: Release, tmp_path: Path) -> None:
    moved = shutil.copytree(signed.checkpoint, tmp_path / "elsewhere")
    assert check(replace(signed, checkpoint=moved)).audited


def test_the_policy_in_force_must_be_the_signed_one(signed: Release, tmp_path: Path) -> None:
    assert check(signed, policy=signed.policy).audited
    other = tmp_path / "mine.yaml"
    other.write_text(signed.policy.read_text().replace("house", "mine"))
    refuse(signed, "judged by the policy 'house' version 1, not by .*mine.yaml", policy=other)


# ---- files of the checkpoint (SIGNING section 1, tampering) ----


def test_every_changed_missing_extra_and_renamed_file_is_named(signed: Release) -> None:
    folder = signed.checkpoint
    (folder / "weights.gguf").write_bytes(b"GGUF other")
    (folder / "tokenizer" / "vocab.txt").rename(folder / "tokenizer" / "words.txt")
    (folder / "config.json").unlink()
    (folder / "plugin.py").write_text("x")
    with pytest.raises(FilesDiffer) as caught:
        check(signed)
    assert caught.value.problems == (
        "weights.gguf: changed",
        "tokenizer/vocab.txt: renamed to tokenizer/words.txt",
        "config.json: missing",
        "plugin.py: extra",
    )
    assert all(problem in str(caught.value) for problem in caught.value.problems)


def test_a_long_list_of_problems_is_whole_in_the_error_and_short_in_its_line(signed: Release) -> None:
    for number in range(50):
        (signed.checkpoint / f"extra{number:02d}").write_text(str(number))
    with pytest.raises(FilesDiffer, match="and 30 more") as caught:
        check(signed)
    assert len(caught.value.problems) == 50


def write(name: str, data: bytes = b"x") -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return attack


def swap(folder: Path) -> None:
    one, other = folder / "config.json", folder / "weights.gguf"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def link_file(folder: Path) -> None:
    real = folder.parent / "real.json"
    (folder / "config.json").rename(real)
    (folder / "config.json").symlink_to(real)


def link_folder(folder: Path) -> None:
    real = folder.parent / "real"
    (folder / "tokenizer").rename(real)
    (folder / "tokenizer").symlink_to(real, target_is_directory=True)


def rename_as_code(folder: Path) -> None:
    # OMS binds digests in order, so this name keeps the same subject digest there
    (folder / "config.json").rename(folder / "configuration_evil.py")


def change_case(folder: Path) -> None:
    (folder / "config.json").rename(folder / "Config.json")


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "file under .git": (write(".git/hooks/post-checkout"), ".git/hooks/post-checkout: extra"),
    "file under .github": (write(".github/workflows/x.yml"), "x.yml: extra"),
    ".gitattributes": (write(".gitattributes"), ".gitattributes: extra"),
    ".gitignore": (write(".gitignore"), ".gitignore: extra"),
    "hidden file": (write("tokenizer/.hidden"), "tokenizer/.hidden: extra"),
    "empty file": (write("empty.safetensors", b""), "empty.safetensors: extra"),
    "name with a colon": (write("a:0:4"), "a:0:4: extra"),
    "nested sidecar": (write("tokenizer/.qaudit/report.json"), "extra"),
    "nested model.sig": (write("tokenizer/model.sig"), "tokenizer/model.sig: extra"),
    "stranger in the sidecar": (write(".qaudit/plugin.py"), "plugin.py: not a file that .qaudit may hold"),
    "empty folder": (lambda folder: (folder / "new").mkdir(), "new: an empty folder"),
    "swapped contents": (swap, "config.json: changed; weights.gguf: changed"),
    "renamed file": (rename_as_code, "config.json: renamed to configuration_evil.py"),
    "case-renamed file": (change_case, "config.json: renamed to Config.json"),
    "file behind a link": (link_file, "config.json: a symbolic link"),
    "folder behind a link": (link_folder, "tokenizer: a symbolic link"),
    "truncated": (lambda folder: (folder / "weights.gguf").write_bytes(b"GGUF"), "weights.gguf: changed"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_on_the_tree_are_refused(signed: Release, name: str) -> None:
    attack, says = ATTACKS[name]
    check(signed)
    attack(signed.checkpoint)
    refuse(signed, says)


def test_a_renamed_single_file_is_refused(signed_file: Release) -> None:
    folder = signed_file.checkpoint.parent
    renamed = folder / "other.gguf"
    signed_file.checkpoint.rename(renamed)
    for suffix in ("sigstore.json", "report.json", "policy.yaml"):
        (folder / f"model.gguf.{suffix}").rename(folder / f"other.gguf.{suffix}")
    refuse(replace(signed_file, checkpoint=renamed), "model.gguf: renamed to other.gguf")


def test_the_bundle_of_another_release_is_refused(signed: Release, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    other = replace(make_release(folder), key=signed.key, public=signed.public)
    (other.checkpoint / "weights.gguf").write_bytes(b"GGUF of another model")
    other = other.audited_again()
    other.sign()
    check(other)
    shutil.copytree(other.checkpoint / ".qaudit", signed.checkpoint / ".qaudit", dirs_exist_ok=True)
    refuse(signed, "weights.gguf: changed")


# ---- time, revocation, decision ----


def test_the_approval_ends(signed: Release) -> None:
    check(signed, now=NOW + timedelta(days=365, seconds=-1))
    refuse(signed, "approval ended at 2027-08-01T12:00:00Z", now=NOW + timedelta(days=365))


def test_a_signature_from_the_future_is_refused(signed: Release) -> None:
    check(signed, now=NOW - timedelta(minutes=5))
    refuse(signed, "signed in the future", now=NOW - timedelta(minutes=6))


def test_a_date_that_does_not_exist_is_refused(signed: Release) -> None:
    document = payload_of(signed)
    document["predicate"]["notAfter"] = "2027-02-30T00:00:00Z"
    resign_document(signed, document)
    refuse(signed, "date that does not exist")


def test_a_revoked_statement_is_refused(signed: Release, tmp_path: Path) -> None:
    revoked = tmp_path / "revoked.txt"
    revoked.write_text("0" * 64 + "\n")
    digest = check(signed, revoked=revoked).statement_sha256
    revoked.write_text(f"# leaked\n{digest} key leaked\n")
    refuse(signed, "is revoked", revoked=revoked)
    revoked.write_text(digest[:-1])
    with pytest.raises(InputError, match="line 1"):
        check(signed, revoked=revoked)


def test_an_accepted_risk_needs_the_consumers_consent(release: Release) -> None:
    release.judged("inconclusive").sign(accept_risk="internal test")
    refuse(release, "inconclusive .accepted risk: internal test.*--accept-conditional")
    assert check(release, accept_conditional=True).audited


# ---- usage ----


def test_unusable_input(signed: Release, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        check(replace(signed, checkpoint=tmp_path / "none"))
    with pytest.raises(InputError, match="ignore-paths is for bare OMS"):
        check(signed, ignore_paths=["config.json"])
    with pytest.raises(InputError, match="cannot be read"):
        check(signed, bundle=tmp_path / "none.sigstore.json")
    with pytest.raises(InputError, match="neither a policy file"):
        check(signed, policy="nosuchpolicy")
    with pytest.raises(InputError, match="is a private key"):
        check(replace(signed, public=signed.key))


# ---- single-bit flips over everything that is signed ----


def flip_positions(size: int, rng: random.Random, wanted: int) -> list[tuple[int, int]]:
    """Sampled (byte, bit) pairs: both ends always, the rest spread over the whole length."""
    edges = {0, 1, size - 2, size - 1} & set(range(size))
    inner = {min(size - 1, int((i + rng.random()) * size / wanted)) for i in range(wanted)}
    return [(position, rng.randrange(8)) for position in sorted(edges | inner)]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_no_single_bit_flip_verifies(tmp_path: Path, single: bool, kind: Any) -> None:
    release = make_release(tmp_path, single=single, kind=kind)
    where = release.sign().places
    targets = [where.bundle, where.report, where.policy]
    targets += [release.checkpoint] if single else [release.checkpoint / n for n in check(release).names]
    rng = random.Random(20260801)
    flips = 0
    for path in targets:
        good = path.read_bytes()
        for position, bit in flip_positions(len(good), rng, 150 if path == where.bundle else 30):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            path.write_bytes(bytes(bad))
            # whoever reads the message learns which file to distrust
            refuse(release, re.escape(path.name))
            flips += 1
        path.write_bytes(good)
    check(release)
    assert flips >= 200


def test_every_bit_of_the_signature_and_hint_counts(signed: Release) -> None:
    good = signed.bundle.read_bytes()
    start = good.index(b'"signatures"')
    for position in range(start, len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            signed.bundle.write_bytes(bytes(bad))
            refuse(signed, "audit.sigstore.json")

"""What model-signing 1.1.1 lets through, each as a test that it refuses, expected to fail.

`xfail_strict` turns a mend upstream into a failure here: then drop the note, and say so in
docs/signing.md. That our own gate refuses each is in test_oms.py and test_certificate_mode.py.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attest.oms_publisher import Publisher
from certificate_kit import Holder, authority, usage, write_pem
from model_signing import hashing, verifying
from release_kit import make_file_checkpoint

lets_through = pytest.mark.xfail(reason="model-signing lets this through", raises=AssertionError)
ROOT = authority()


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def by_key(publisher: Publisher) -> verifying.Config:
    return verifying.Config().use_elliptic_key_verifier(public_key=publisher.public)


def refuses(config: verifying.Config, model: Path, signature: Path) -> bool:
    try:
        config.verify(model, signature)
    except ValueError:
        return True
    return False


def refuses_by_key(publisher: Publisher) -> bool:
    return refuses(by_key(publisher), publisher.model, publisher.signature)


def test_it_does_refuse_what_is_plainly_wrong(publisher: Publisher) -> None:
    publisher.sign()
    assert not refuses_by_key(publisher)
    (publisher.model / "config.json").write_text("other")
    assert refuses_by_key(publisher)


@lets_through
@pytest.mark.parametrize("name", [".git/hooks/x", ".github/workflows/x.yml", ".gitattributes", ".gitignore"])
def test_added_git_files(publisher: Publisher, name: str) -> None:
    publisher.sign()
    path = publisher.model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    assert refuses_by_key(publisher)


@lets_through
def test_files_that_the_signer_left_out(publisher: Publisher) -> None:
    publisher.sign(ignored=("model.sig", "weights.gguf"))
    (publisher.model / "weights.gguf").write_bytes(b"GGUF evil")
    assert refuses_by_key(publisher)


@lets_through
def test_a_signature_over_nothing(publisher: Publisher) -> None:
    publisher.sign(ignored=("model.sig", "."))
    (publisher.model / "weights.gguf").write_bytes(b"GGUF evil")
    assert refuses_by_key(publisher)


@lets_through
def test_ignored_paths_of_an_earlier_model(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = Publisher(tmp_path / "second")
    second.key, second.public = publisher.key, publisher.public
    publisher.sign(ignored=("model.sig", "plugin.py"))
    second.sign()
    (second.model / "plugin.py").write_text("x")
    config = by_key(publisher)
    assert not refuses(config, publisher.model, publisher.signature)
    assert refuses(config, second.model, second.signature)


@lets_through
def test_files_behind_a_linked_folder(publisher: Publisher, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (publisher.model / "linked").symlink_to(real, target_is_directory=True)
    publisher.sign(hashing.Config().set_allow_symlinks(True))
    (real / "code.py").write_text("x")
    config = by_key(publisher)
    config.set_hashing_config(hashing.Config().set_allow_symlinks(True))
    assert refuses(config, publisher.model, publisher.signature)


@lets_through
def test_an_added_empty_file_beside_shards(publisher: Publisher) -> None:
    def shards() -> hashing.Config:
        return hashing.Config().use_shard_serialization(shard_size=100)

    publisher.sign(shards())
    (publisher.model / "empty.py").write_bytes(b"")
    config = by_key(publisher)
    config.set_hashing_config(shards())
    assert refuses(config, publisher.model, publisher.signature)


@lets_through
def test_a_renamed_single_file(publisher: Publisher, tmp_path: Path) -> None:
    file = make_file_checkpoint(tmp_path)
    publisher.sign(model=file, signature=tmp_path / "f.sig", ignored=())
    renamed = file.rename(tmp_path / "evil.gguf")
    assert refuses(by_key(publisher), renamed, tmp_path / "f.sig")


@lets_through
def test_an_extra_signature(publisher: Publisher) -> None:
    publisher.sign()
    document = json.loads(publisher.signature.read_text())
    document["dsseEnvelope"]["signatures"] *= 2
    publisher.signature.write_text(json.dumps(document))
    assert refuses_by_key(publisher)


@lets_through
def test_an_added_empty_folder(publisher: Publisher) -> None:
    publisher.sign()
    (publisher.model / "void").mkdir()
    assert refuses_by_key(publisher)


def expired() -> Holder:
    return ROOT.issue(begin=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))


def not_yet_valid() -> Holder:
    return ROOT.issue(begin=datetime.now(UTC) + timedelta(days=1))


def of_an_authority() -> Holder:
    return ROOT.issue(authority=True, key_usage=usage(sign=True, issue=True))


@lets_through
@pytest.mark.parametrize("make", [expired, not_yet_valid, of_an_authority])
def test_unfit_certificates(publisher: Publisher, tmp_path: Path, make: Callable[[], Holder]) -> None:
    key, certificate = make().write(tmp_path, "leaf")
    root = write_pem(tmp_path / "root.pem", ROOT.certificate)
    publisher.sign_with_certificate(key, certificate, root)
    verifier = verifying.Config().use_certificate_verifier(certificate_chain=[root])
    assert refuses(verifier, publisher.model, publisher.signature)

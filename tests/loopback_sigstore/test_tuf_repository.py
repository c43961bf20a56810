from datetime import timedelta
from pathlib import Path

import pytest
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.tuf_repository import TufRepository
from securesystemslib.signer import CryptoSigner
from sigstore.errors import TUFError
from sigstore.models import ClientTrustConfig


@pytest.fixture
def repository(sigstore: LoopbackSigstore) -> TufRepository:
    return TufRepository(sigstore)


@pytest.fixture
def first_root(repository: TufRepository, tmp_path: Path) -> Path:
    path = tmp_path / "root.json"
    path.write_bytes(repository.first_root)
    return path


def fetch(repository: TufRepository, first_root: Path) -> ClientTrustConfig:
    return ClientTrustConfig.from_tuf(repository.url, bootstrap_root=first_root)


def test_trust_is_fetched_and_follows_a_new_root(
    sigstore: LoopbackSigstore, repository: TufRepository, first_root: Path
) -> None:
    assert fetch(repository, first_root).trusted_root._inner.tlogs[0].base_url == sigstore.url
    repository.rotate_root()
    repository.rotate_root()
    fetch(repository, first_root)
    assert any(asked.path == "/tuf/3.root.json" for asked in sigstore.asked)


def test_what_must_be_refused_is(repository: TufRepository, first_root: Path) -> None:
    with repository.rolled_back():
        repository.publish()
        fetch(repository, first_root)
    with pytest.raises(TUFError):  # an older version than was seen
        fetch(repository, first_root)
    repository.publish()
    repository.publish()
    fetch(repository, first_root)
    repository.publish(lifetime=timedelta(seconds=-1))
    with pytest.raises(TUFError):  # out of date
        fetch(repository, first_root)
    repository.publish(signer=CryptoSigner.generate_ed25519())
    with pytest.raises(TUFError):  # signed by somebody else
        fetch(repository, first_root)


def test_changed_targets_are_refused(repository: TufRepository, first_root: Path) -> None:
    repository.tamper()
    with pytest.raises(TUFError, match="trusted key bundle"):
        _ = fetch(repository, first_root).trusted_root

"""A TUF repository that publishes a loopback Sigstore's trust, served by the instance itself under /tuf."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from loopback_sigstore.instance import LoopbackSigstore
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

BASE = "/tuf"
TRUSTED_ROOT = "trusted_root.json"
SIGNING_CONFIG = "signing_config.v0.2.json"


class TufRepository:
    """The repository; `publish` puts the instance's present trust into it.

    Attributes:
        url: what --tuf-url takes.
        first_root: the root metadata that --tuf-root takes.
    """

    def __init__(self, sigstore: LoopbackSigstore) -> None:
        self._sigstore = sigstore
        self.url = sigstore.url + BASE
        self._root_key, self._key = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
        self._version = 0
        root = Root(consistent_snapshot=True, expires=_in(timedelta(days=365)))
        root.add_key(self._root_key.public_key, "root")
        for role in ("timestamp", "snapshot", "targets"):
            root.add_key(self._key.public_key, role)
        self._root = Metadata(root)
        self.first_root = self._publish_root([self._root_key])
        self.publish()

    def publish(self, *, lifetime: timedelta = timedelta(days=1), signer: CryptoSigner | None = None) -> None:
        """Publish the instance's trust as the next version, signed by `signer` in place of the right key."""
        self._version += 1
        key, expires = signer or self._key, _in(lifetime)
        targets = Targets(version=self._version, expires=expires)
        documents = {
            TRUSTED_ROOT: self._sigstore.trusted_root(),
            SIGNING_CONFIG: self._sigstore.signing_config(),
        }
        for name, document in documents.items():
            data = json.dumps(document).encode()
            target = TargetFile.from_data(name, data)
            targets.targets[name] = target
            self._page(f"targets/{target.hashes['sha256']}.{name}", data)
        self._page(f"{self._version}.targets.json", _signed(Metadata(targets), key))
        snapshot = Snapshot(version=self._version, expires=expires)
        snapshot.meta["targets.json"] = MetaFile(self._version)
        self._page(f"{self._version}.snapshot.json", _signed(Metadata(snapshot), key))
        timestamp = Timestamp(version=self._version, expires=expires, snapshot_meta=MetaFile(self._version))
        self._page("timestamp.json", _signed(Metadata(timestamp), key))

    def rotate_root(self) -> None:
        """Replace the root's key, and the other roles' one; the new root is signed by the old key too."""
        old = self._root_key
        self._root_key, before = CryptoSigner.generate_ed25519(), self._key
        self._key = CryptoSigner.generate_ed25519()
        root = self._root.signed
        root.revoke_key(old.public_key.keyid, "root")
        root.add_key(self._root_key.public_key, "root")
        for role in ("timestamp", "snapshot", "targets"):
            root.revoke_key(before.public_key.keyid, role)
            root.add_key(self._key.public_key, role)
        root.version += 1
        self._publish_root([old, self._root_key])
        self.publish()

    def tamper(self, name: str = TRUSTED_ROOT) -> None:
        """Change the bytes of a target, but not the metadata that vouch for it."""
        path = next(reversed([page for page in self._sigstore.pages if page.endswith(f".{name}")]))
        self._sigstore.pages[path] = self._sigstore.pages[path].replace(
            b"qaudit-loopback", b"qaudit-tampered"
        )

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Serve what is there now again when the block ends, whatever was published inside."""
        before, version = dict(self._sigstore.pages), self._version
        yield
        self._sigstore.pages.clear()
        self._sigstore.pages.update(before)
        self._version = version

    def _publish_root(self, signers: list[CryptoSigner]) -> bytes:
        self._root.signatures.clear()
        for signer in signers:
            self._root.sign(signer, append=True)
        data = self._root.to_bytes()
        self._page(f"{self._root.signed.version}.root.json", data)
        return data

    def _page(self, name: str, data: bytes) -> None:
        self._sigstore.pages[f"{BASE}/{name}"] = data


def _signed(
    metadata: "Metadata[Targets] | Metadata[Snapshot] | Metadata[Timestamp]", key: CryptoSigner
) -> bytes:
    metadata.sign(key)
    return metadata.to_bytes()


def _in(lifetime: timedelta) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + lifetime

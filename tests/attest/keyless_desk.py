"""A desk with a release on it that a loopback Sigstore signs, well or badly, and the gate that looks at it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import rfc8785
from loopback_sigstore.forging import forge
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import SUBJECT
from loopback_sigstore.trust import Windows
from release_kit import Release, make_release

from qaudit.attest import Verified, verify
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.keyless_verifying import Identity
from qaudit.attest.sigstore_trust import read_trust_config


@dataclass(frozen=True)
class Desk:
    """A release, its statement, and the instance that signs it."""

    release: Release
    statement: bytes
    instance: LoopbackSigstore
    trust: Path

    def put(self, bundle: dict[str, Any], config: dict[str, Any] | None = None) -> None:
        """Put a bundle with the release, and what the verifier trusts."""
        self.release.bundle.write_text(json.dumps(bundle))
        self.trust.write_text(json.dumps(config or self.instance.trust_config()))

    def resign(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Sign another statement with the genuine identity."""
        statement = json.loads(self.statement)
        change(statement)
        self.put(forge(self.instance, rfc8785.dumps(statement)))

    def gate(self, *, name: str = SUBJECT, issuer: str | None = None) -> Verified:
        who = Identity(name, issuer or self.instance.url, trust=read_trust_config(self.trust))
        return verify(self.release.checkpoint, identity=who)


Desks = Callable[[Literal[1, 2], bool], Desk]


@contextmanager
def open_desks(new_folder: Callable[[], Path]) -> Iterator[Desks]:
    """Give the desk of an instance with a version of the log, with or without timestamps; all is well there."""
    made: dict[tuple[int, bool], Desk] = {}
    with ExitStack() as running:

        def desk(version: Literal[1, 2], timestamps: bool) -> Desk:
            kind = version, timestamps
            if kind not in made:
                folder = new_folder()
                release = make_release(folder)
                release.sign(now=None)
                statement = parse_bundle(release.bundle.read_bytes(), "b").payload
                instance = running.enter_context(LoopbackSigstore(rekor=version, timestamps=timestamps))
                made[kind] = Desk(release, statement, instance, folder / "trust.json")
            found = made[kind]
            found.instance.faults.clear()
            found.instance.windows = Windows()
            return found

        yield desk

"""Signed releases in every mode, with everything that may travel with one, to be tampered with."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import certificate_kit
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import SUBJECT
from release_kit import POLICY_TEXT, Release, make_release, report_for

from qaudit.attest import Verified, sign, verify
from qaudit.attest.certificate_chains import CertificateTrust
from qaudit.attest.certificate_mode import load_certificate_sealer
from qaudit.attest.dsse import Sealer
from qaudit.attest.keyless_signing import KeylessSealer
from qaudit.attest.keyless_verifying import Identity
from qaudit.attest.local_key import generate_key, load_signer
from qaudit.attest.oms_signing import oms_place
from qaudit.attest.sigstore_trust import read_trust_config

Mode = Literal["p256", "ed25519", "certificate", "keyless-v1", "keyless-v1-no-tsa", "keyless-v2"]
MODES: tuple[Mode, ...] = ("p256", "ed25519", "certificate", "keyless-v1", "keyless-v1-no-tsa", "keyless-v2")


@dataclass(frozen=True)
class Target:
    """A file whose bits are flipped, and the gate that has to notice."""

    name: str
    path: Path
    gate: Callable[[], Verified]


@dataclass(frozen=True)
class Signed:
    """What a release consists of; `anchor` is the verifier's own file (key or root), where there is one."""

    targets: list[Target]
    anchor: Path | None


@dataclass(frozen=True)
class Flip:
    """One bit of a file."""

    file: str
    position: int
    bit: int


def lay_out(folder: Path, checkpoint: Path) -> Release:
    """Return a release of a copy of a real checkpoint, with the report that its audit would have."""
    copied = folder / checkpoint.name
    if checkpoint.is_dir():
        shutil.copytree(checkpoint, copied)
    else:
        shutil.copyfile(checkpoint, copied)
    desk = folder / "desk"
    desk.mkdir()
    policy, report = desk / "house.yaml", desk / "report.json"
    policy.write_text(POLICY_TEXT)
    report.write_text(json.dumps(report_for(copied, policy.read_bytes()), indent=2))
    return Release(copied, report, policy, desk / "key.pem", desk / "key.pub.pem")


@contextmanager
def signed_release(mode: Mode, folder: Path, checkpoint: Path | None, *, single: bool) -> Iterator[Signed]:
    """Sign a release; give what it consists of.

    Args:
        mode: how it is signed.
        folder: an empty place.
        checkpoint: a real one, copied; made up when None.
        single: whether the made-up one is a single file.
    """
    release = make_release(folder, single=single) if checkpoint is None else lay_out(folder, checkpoint)
    with _signer(mode, release, folder) as (sealer, anchor, gate):
        sign(
            release.checkpoint,
            report=release.report,
            signer=sealer,
            policy=release.policy,
            also=["vsa", "test-result"],
        )
        yield Signed(_targets(release, gate), anchor)


def beside(bundle: Path | None) -> list[str]:
    """What an OMS signature that was named does not cover: the audit that it came with."""
    return [] if bundle is None or bundle.name != "model.sig" else [".qaudit"]


def _targets(release: Release, gate: Callable[..., Verified]) -> list[Target]:
    path = release.checkpoint
    oms = oms_place(path, release.bundle)

    def whole() -> Verified:
        return gate(path)

    def bare() -> Verified:
        return gate(path, bundle=oms)

    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p != oms)
    else:
        files = sorted(p for p in path.parent.iterdir() if p.is_file() and p.name.startswith(path.name))
        files = [p for p in files if p != oms]
    found = [Target(p.relative_to(path.parent).as_posix(), p, whole) for p in files]
    if oms.exists():
        # both as a part of the release and on its own
        found += [Target(f"{oms.name} in the release", oms, whole), Target(f"{oms.name} alone", oms, bare)]
    return found


@contextmanager
def _signer(
    mode: Mode, release: Release, folder: Path
) -> Iterator[tuple[Sealer, Path | None, Callable[..., Verified]]]:
    """Give the signer, the verifier's own file, and the gate."""
    if mode in ("p256", "ed25519"):
        if release.key.exists():
            release.key.unlink()
            release.public.unlink()
        public = generate_key(release.key, "p256" if mode == "p256" else "ed25519")

        def by_key(path: Path, bundle: Path | None = None) -> Verified:
            return verify(path, key=public, bundle=bundle, ignore_paths=beside(bundle))

        yield load_signer(release.key, lambda: ""), public, by_key
    elif mode == "certificate":
        authority = certificate_kit.authority()
        root = certificate_kit.write_pem(folder / "root.pem", authority.certificate)
        key, certificate = authority.issue().write(folder, "signer")

        def by_certificate(path: Path, bundle: Path | None = None) -> Verified:
            trust = CertificateTrust((root,), certificate_kit.SIGNER)
            return verify(path, certificate=trust, bundle=bundle, ignore_paths=beside(bundle))

        yield load_certificate_sealer(key, certificate, [], lambda: ""), root, by_certificate
    else:
        version: Literal[1, 2] = 2 if mode == "keyless-v2" else 1
        with LoopbackSigstore(rekor=version, timestamps=mode != "keyless-v1-no-tsa") as instance:
            config = instance.write_trust_config(folder / "trust.json")
            trusted = read_trust_config(config)

            def by_identity(path: Path, bundle: Path | None = None) -> Verified:
                return verify(
                    path,
                    identity=Identity(SUBJECT, instance.url, trust=trusted),
                    bundle=bundle,
                    ignore_paths=beside(bundle),
                )

            yield KeylessSealer(trusted, instance.token()), None, by_identity


def chosen_flips(path: Path, rng: random.Random, wanted: int) -> list[Flip]:
    """Return flips of both ends, and the rest spread over the whole length; all bits if that is less."""
    size = path.stat().st_size
    if size * 8 <= wanted:
        return [Flip(path.name, position, bit) for position in range(size) for bit in range(8)]
    edges = {0, 1, size - 2, size - 1} & set(range(size))
    places = [min(size - 1, int((number + rng.random()) * size / wanted)) for number in range(wanted)]
    return [Flip(path.name, position, rng.randrange(8)) for position in [*edges, *places]]


@contextmanager
def flipped(path: Path, flip: Flip) -> Iterator[None]:
    """Flip one bit in place, and put it back."""
    with path.open("r+b", buffering=0) as stream:
        stream.seek(flip.position)
        before = stream.read(1)
        stream.seek(flip.position)
        stream.write(bytes([before[0] ^ 1 << flip.bit]))
        try:
            yield
        finally:
            stream.seek(flip.position)
            stream.write(before)

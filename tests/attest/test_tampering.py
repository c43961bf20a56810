"""Single-bit flips over everything that a signed release consists of: none may verify."""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from attest.tampered_releases import MODES, Flip, Mode, Target, chosen_flips, flipped, signed_release
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from qaudit.attest.manifest import BUNDLE_NAME, COMPANIONS
from qaudit.errors import InputError, VerificationFailed

SEED = 20261121
# over a release of the lab, all modes together
WANTED = 10_000
SINGLE: tuple[Mode, ...] = ("ed25519", "keyless-v1", "keyless-v1-no-tsa")


def unused_by_anyone(target: Target, before: bytes, after: bytes) -> bool:
    """Whether a flip is beside the envelope of a bare OMS signature by key.

    The only exception: other tools put copies of the key and empty lists there, and nothing of it is used.
    In the release, where the audit's statement holds the digest of the file, there is none.
    """
    if not target.name.endswith(".sig alone"):
        return False
    good, bad = json.loads(before), json.loads(after)
    if "publicKey" not in good.pop("verificationMaterial"):
        return False
    bad.pop("verificationMaterial", None)
    return bool(good == bad)


def survivors(target: Target, flips: list[Flip]) -> list[str]:
    """Return the flips that verified without an explanation, or were refused without a word of the file."""
    found = []
    good = target.path.read_bytes()
    for flip in flips:
        with flipped(target.path, flip):
            try:
                target.gate()
            except VerificationFailed as error:
                # whoever reads the line learns which file to distrust
                if target.path.name not in str(error) or not str(error).isprintable():
                    found.append(f"{flip} is refused as: {error}")
            else:
                if not unused_by_anyone(target, good, target.path.read_bytes()):
                    around = good[max(0, flip.position - 20) : flip.position + 20]
                    found.append(f"{flip} verifies, around {around!r}")
    return found


def tamper(targets: list[Target], wanted: Callable[[Target], int]) -> tuple[Counter[str], list[str]]:
    """Return how many flips were tried of each kind of file, and those that survived."""
    rng, tried, found = random.Random(SEED), Counter[str](), []
    for target in targets:
        target.gate()
        flips = chosen_flips(target.path, rng, wanted(target))
        tried[kind_of(target)] += len(flips)
        found += survivors(target, flips)
        target.gate()
    return tried, found


def kind_of(target: Target) -> str:
    """What of a release a target is, whatever the checkpoint is called."""
    name = target.name.rpartition("/")[2]
    for kind in (*COMPANIONS, BUNDLE_NAME.removeprefix("audit.")):
        if name.endswith(kind):
            return kind
    if ".sig" in name:
        return f"OMS signature {name.partition(' ')[2]}"
    return "checkpoint"


@pytest.mark.parametrize("mode", ["p256", "certificate", "keyless-v1", "keyless-v2"])
def test_a_sample_of_flips(tmp_path: Path, mode: Mode) -> None:
    with signed_release(mode, tmp_path, None, single=mode in SINGLE) as signed:
        tried, found = tamper(signed.targets, lambda target: 12 if ".sig" in target.name else 4)
    assert found == []
    assert tried.total() >= 80
    assert set(tried) >= {"checkpoint", "sigstore.json", "report.json", "policy.yaml"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_flips_over_a_release_of_the_lab(tmp_path: Path, member: Callable[[str], Path], mode: Mode) -> None:
    lab = member("Q8_0" if mode in SINGLE else "GPTQ-4bit")
    with signed_release(mode, tmp_path, lab, single=False) as signed:
        each = WANTED // len(MODES) // len(signed.targets) + 1
        tried, found = tamper(signed.targets, lambda target: 2 * each if ".sig" in target.name else each)
        bundles = [target for target in signed.targets if ".sigstore.json" in target.name]
    assert found == []
    assert len(bundles) == 3
    assert tried.total() >= WANTED / len(MODES)
    sys.stdout.write(f"{mode}: {dict(tried)}\n")  # seen with -rP


def named(path: Path) -> object:
    """Whom a verifier's file names: a key, or a subject with its key."""
    pem = path.read_bytes()
    if b"CERTIFICATE" in pem:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        return certificate.subject, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("mode", ["p256", "ed25519", "certificate"])
def test_a_flip_in_the_verifiers_own_file_never_lets_another_signer_in(tmp_path: Path, mode: Mode) -> None:
    with signed_release(mode, tmp_path, None, single=False) as signed:
        assert signed.anchor is not None
        path, good = signed.anchor, named(signed.anchor)
        refused = 0
        for flip in chosen_flips(path, random.Random(SEED), 120):
            with flipped(path, flip):
                try:
                    signed.targets[0].gate()
                except (InputError, VerificationFailed):
                    refused += 1
                else:
                    assert named(path) == good
    assert refused >= 40

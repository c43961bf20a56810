"""Bare OpenSSF Model Signing (OMS) signatures, key mode: file integrity and no audit.

Our own check authenticates first and the model-signing library checks signature and hashes last.
What it lets through (measured, see docs/signing.md) is refused in between: ignore lists that the
signer chose, git folders that it skips by default, links, empty files in shard mode, renamed
single files, extra signatures.
"""

import contextlib
import io
import re
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qaudit.attest.audit_facts import Line, Sha256
from qaudit.attest.dsse import Bundle
from qaudit.attest.local_key import KeyVerifier
from qaudit.attest.manifest import OMS_SIGNATURE, SIDECAR_FOLDER, list_files
from qaudit.errors import InputError, MissingExtra, VerificationFailed
from qaudit.strict_json import parse_as

OMS_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
# ignores that a signer may declare: none of them makes us skip a file that is there
_DECLARABLE = frozenset(
    PurePosixPath(name)
    for name in (".git", ".gitattributes", ".github", ".gitignore", OMS_SIGNATURE, SIDECAR_FOLDER)
)
_HASH_NAMES: dict[str, Literal["sha256", "blake2", "blake3"]] = {
    "sha256": "sha256",
    "blake2b": "blake2",
    "blake3": "blake3",
}
_MISMATCH = re.compile(r"Hash mismatch for \\?'(.*?)\\?': Expected")


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Serialization(_Part):
    method: Literal["files", "shards"]
    hash_type: Literal["sha256", "blake2b", "blake3"]
    allow_symlinks: bool
    ignore_paths: tuple[Line, ...] = ()
    shard_size: float | None = None


class _Resource(_Part):
    name: Line
    algorithm: Line
    digest: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$", max_length=128)]


class _Predicate(_Part):
    serialization: _Serialization
    resources: tuple[_Resource, ...] = Field(min_length=1)


class _Digest(_Part):
    sha256: Sha256


class _Subject(_Part):
    name: Line
    digest: _Digest


class _Statement(_Part):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[_Subject, ...] = Field(min_length=1, max_length=1)
    predicateType: Literal["https://model_signing/signature/v1.0"]
    predicate: _Predicate


def verify_oms(
    path: Path, bundle: Bundle, bundle_path: Path, key: KeyVerifier, ignore_paths: Iterable[str] = ()
) -> tuple[str, ...]:
    """Verify a bare OMS signature.

    Args:
        path: the signed file or folder.
        bundle: the signature, strictly parsed.
        bundle_path: where it lies; left out when it is inside the folder.
        key: the public key.
        ignore_paths: paths inside the folder that the *verifier* leaves out.

    Returns:
        The names of the files that it covers.

    Raises:
        InputError: the key cannot have made such a signature, or an ignored path is not inside.
        MissingExtra: model-signing (or pyOpenSSL, which it needs) is not installed.
        VerificationFailed: everything else that is not as signed.
    """
    if not key.is_elliptic:
        raise InputError(f"{bundle_path}: OMS signatures are made with ECDSA keys; give the ECDSA public key")
    if "publicKey" not in bundle.material:
        raise VerificationFailed(
            f"{bundle_path}: was not signed with a plain key; it cannot be verified with --key"
        )
    # before anything of the payload is believed or shown; the library checks it again below
    key.check_signature(bundle, bundle_path)
    try:
        statement = parse_as(_Statement, bundle.payload)
    except ValueError as error:
        raise VerificationFailed(f"{bundle_path}: not a valid OMS statement ({error})") from error
    ignored = {_relative(text) for text in ignore_paths}
    if path.is_dir() and bundle_path.resolve().is_relative_to(path.resolve()):
        ignored.add(PurePosixPath(bundle_path.resolve().relative_to(path.resolve()).as_posix()))
    serialization = statement.predicate.serialization
    _refuse_foreign_ignores(serialization, ignored, bundle_path)
    found = {entry.name for entry in list_files(path, ignored)}
    _check_names(path, found, statement, bundle_path)
    _check_with_library(path, bundle, bundle_path, key, serialization, ignored)
    return tuple(sorted(found))


def _relative(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InputError(f"--ignore-paths {text!a}: give a path inside the checkpoint folder")
    return path


def _refuse_foreign_ignores(serialization: _Serialization, ignored: set[PurePosixPath], where: Path) -> None:
    for text in serialization.ignore_paths:
        declared = PurePosixPath(text)
        if declared not in _DECLARABLE and declared not in ignored:
            raise VerificationFailed(
                f"{where}: the signer left {text!a} out of the signature; if you mean to accept that,"
                f" add --ignore-paths {text!a}"
            )


def _check_names(path: Path, found: set[str], statement: _Statement, where: Path) -> None:
    resources = statement.predicate.resources
    sharded = statement.predicate.serialization.method == "shards"
    names = {r.name.rsplit(":", 2)[0] if sharded else r.name for r in resources}
    if not sharded and len(names) != len(resources):
        raise VerificationFailed(f"{where}: a file is listed twice in the signature")
    if stat.S_ISREG(path.lstat().st_mode):
        if found != {path.name}:
            raise VerificationFailed(f"{path}: is one part of a split file; verify the folder")
        # the library writes "." for a single file, so only the subject tells a renamed one
        if names == {"."}:
            names = {statement.subject[0].name}
    elif names == {"."}:
        raise VerificationFailed(
            f"{where}: signs the single file {statement.subject[0].name!a}, not the folder;"
            f" give that file and --bundle {where}"
        )
    problems = [f"{name}: missing" for name in sorted(names - found)]
    problems += [f"{name}: extra, not signed" for name in sorted(found - names)]
    if problems:
        raise VerificationFailed(f"{path}: not as signed: {'; '.join(problems)}")


def _check_with_library(
    path: Path,
    bundle: Bundle,
    bundle_path: Path,
    key: KeyVerifier,
    serialization: _Serialization,
    ignored: set[PurePosixPath],
) -> None:
    try:
        from model_signing import hashing, verifying
    except ModuleNotFoundError as error:
        # model-signing 1.1.1 imports OpenSSL without depending on pyOpenSSL
        raise MissingExtra("pyopenssl" if error.name == "OpenSSL" else "model-signing", "sign") from error
    hasher = hashing.Config()  # type: ignore[no-untyped-call]  # the library has no types here
    algorithm = _HASH_NAMES[serialization.hash_type]
    if serialization.method == "shards":
        size = serialization.shard_size
        if size is None or size < 1 or not size.is_integer():
            raise VerificationFailed(f"{bundle_path}: the shard size is not a whole number")
        hasher.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(size))
    else:
        hasher.use_file_serialization(hashing_algorithm=algorithm)
    own = {PurePosixPath(OMS_SIGNATURE), PurePosixPath(SIDECAR_FOLDER)} | ignored
    hasher.set_ignored_paths(paths=[str(name) for name in own], ignore_git_paths=False)
    with tempfile.TemporaryDirectory(prefix="qaudit-oms-") as folder:
        # the very bytes that were parsed above, not whatever lies at the path by now
        key_copy, bundle_copy = Path(folder, "key.pub"), Path(folder, "model.sig")
        key_copy.write_bytes(key.pem)
        bundle_copy.write_bytes(bundle.raw)
        # a fresh Config each time: a reused one carries ignored paths over (fixed upstream later)
        verifier = verifying.Config()  # type: ignore[no-untyped-call]
        verifier.use_elliptic_key_verifier(public_key=key_copy)
        verifier.set_hashing_config(hasher)
        try:
            # the library prints a warning for signatures of the old form
            with contextlib.redirect_stdout(io.StringIO()):
                verifier.verify(path, bundle_copy)
        except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise VerificationFailed(_explain(path, bundle_path, str(error))) from error


def _explain(path: Path, bundle_path: Path, message: str) -> str:
    changed = _MISMATCH.findall(message)
    if changed:
        names = [path.name if name == "." else name for name in changed]
        return f"{path}: not as signed: {'; '.join(f'{name}: changed' for name in names)}"
    if message.startswith("Key mismatch"):
        return f"{bundle_path}: was signed with another key than the one given; check --key"
    line = " ".join(message.split())[:300]
    return f"{bundle_path}: does not verify ({line})"

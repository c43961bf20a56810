"""Bare OpenSSF Model Signing (OMS) signatures by anybody, in all three modes: no audit behind them.

The signer is authenticated by the mode's own `Authenticator`; model-signing only hashes what our own
hashing does not know (shards, other algorithms). What that library lets through (measured, see
docs/signing.md) is refused: ignore lists that the signer chose, git folders that it skips by
default, links, empty files in shard mode, renamed single files, extra signatures, certificates that
are expired, of an authority or of anybody.
"""

import contextlib
import io
import stat
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol, runtime_checkable

from qaudit.attest.dsse import Authenticator, Bundle, SignedBy
from qaudit.attest.files_differ import FilesDiffer
from qaudit.attest.local_key import KeyVerifier
from qaudit.attest.manifest import OMS_SIGNATURE, SIDECAR_FOLDER, Entry, differences, hash_files, list_files
from qaudit.attest.oms_statement import (
    GIT_NAMES,
    OMS_PREDICATE_TYPE,
    SINGLE_FILE,
    OmsStatement,
    Serialization,
    parse_oms_statement,
)
from qaudit.errors import InputError, MissingExtra, VerificationFailed
from qaudit.values import FileDigest

__all__ = ["OMS_PREDICATE_TYPE", "BareAuthenticator", "verify_oms"]

# ignores that a signer may declare: none of them makes us skip a file that is there
_DECLARABLE = frozenset(PurePosixPath(name) for name in (*GIT_NAMES, OMS_SIGNATURE, SIDECAR_FOLDER))
_HASH_NAMES: dict[str, Literal["sha256", "blake2", "blake3"]] = {
    "sha256": "sha256",
    "blake2b": "blake2",
    "blake3": "blake3",
}


@runtime_checkable
class BareAuthenticator(Protocol):
    """A mode in which others' OMS signatures come in forms that our own bundles never have."""

    def authenticate_bare(self, bundle: Bundle, where: object) -> SignedBy:
        """Return who signed the payload; raise VerificationFailed in every other case."""
        ...


def verify_oms(
    path: Path,
    bundle: Bundle,
    bundle_path: Path,
    authenticator: Authenticator,
    ignore_paths: Iterable[str] = (),
    *,
    named: bool,
    on_file: Callable[[FileDigest], None] | None = None,
) -> tuple[SignedBy, tuple[str, ...]]:
    """Verify a bare OMS signature.

    Args:
        path: the signed file or folder.
        bundle: the signature, strictly parsed.
        bundle_path: where it lies; left out when it is inside the folder.
        authenticator: whose signature counts.
        ignore_paths: paths inside the folder that the *verifier* leaves out.
        named: the consumer asked for this very signature, and did not just find it.
        on_file: called after each hashed file, where our own hashing does it.

    Returns:
        Who signed, and the names of the files that the signature covers.

    Raises:
        InputError: the key cannot have made such a signature, or an ignored path is not inside.
        MissingExtra: model-signing (or pyOpenSSL, which it needs) is not installed.
        VerificationFailed: everything else that is not as signed.
    """
    if isinstance(authenticator, KeyVerifier) and not authenticator.is_elliptic:
        raise InputError(f"{bundle_path}: OMS signatures are made with ECDSA keys; give the ECDSA public key")
    # before anything of the payload is believed or shown
    if isinstance(authenticator, BareAuthenticator):
        signed_by = authenticator.authenticate_bare(bundle, bundle_path)
    else:
        signed_by = authenticator.authenticate(bundle, bundle_path)
    statement = parse_oms_statement(bundle.payload, bundle_path)
    ignored = {_relative(text) for text in ignore_paths}
    if path.is_dir() and bundle_path.resolve().is_relative_to(path.resolve()):
        ignored.add(PurePosixPath(bundle_path.resolve().relative_to(path.resolve()).as_posix()))
    serialization = statement.predicate.serialization
    if not named and SIDECAR_FOLDER in serialization.ignore_paths:
        # else whoever takes the audit away would turn "refused" or "revoked" into "verified"
        raise VerificationFailed(
            f"{bundle_path}: came with an audit, which is not here; fetch the whole release, or name this"
            " signature with --bundle to do without the audit"
        )
    _refuse_foreign_ignores(serialization, ignored, bundle_path)
    entries = list_files(path, ignored)
    _check_names(path, {entry.name for entry in entries}, statement, bundle_path)
    if (serialization.method, serialization.hash_type) == ("files", "sha256"):
        found = _our_digests(path, entries, on_file)
    else:
        found = _library_digests(path, bundle_path, serialization, ignored)
    _compare(path, statement, found)
    return signed_by, tuple(entry.name for entry in entries)


def _relative(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InputError(f"--ignore-paths {text!a}: give a path inside the checkpoint folder")
    return path


def _refuse_foreign_ignores(serialization: Serialization, ignored: set[PurePosixPath], where: Path) -> None:
    for text in serialization.ignore_paths:
        declared = PurePosixPath(text)
        if declared not in _DECLARABLE and declared not in ignored:
            raise VerificationFailed(
                f"{where}: the signer left {text!a} out of the signature; if you mean to accept that,"
                f" add --ignore-paths {text!a}"
            )


def _check_names(path: Path, found: set[str], statement: OmsStatement, where: Path) -> None:
    resources = statement.predicate.resources
    sharded = statement.predicate.serialization.method == "shards"
    names = {r.name.rsplit(":", 2)[0] if sharded else r.name for r in resources}
    if len({resource.name for resource in resources}) != len(resources):
        raise VerificationFailed(f"{where}: a file is listed twice in the signature")
    if stat.S_ISREG(path.lstat().st_mode):
        if found != {path.name}:
            raise VerificationFailed(f"{path}: is one part of a split file; verify the folder")
        # the library writes "." for a single file, so only the subject tells a renamed one
        if names == {SINGLE_FILE}:
            names = {statement.subject[0].name}
    elif names == {SINGLE_FILE}:
        raise VerificationFailed(
            f"{where}: signs the single file {statement.subject[0].name!a}, not the folder;"
            f" give that file and --bundle {where}"
        )
    problems = [f"{name}: missing" for name in sorted(names - found)]
    problems += [f"{name}: extra, not signed" for name in sorted(found - names)]
    _refuse(path, problems)


def _our_digests(
    path: Path, entries: Iterable[Entry], on_file: Callable[[FileDigest], None] | None
) -> dict[str, tuple[str, str]]:
    return {file.path: ("sha256", file.sha256) for file in hash_files(entries, on_file)}


def _library_digests(
    path: Path, where: Path, serialization: Serialization, ignored: set[PurePosixPath]
) -> dict[str, tuple[str, str]]:
    try:
        from model_signing import hashing
    except ModuleNotFoundError as error:
        # model-signing 1.1.1 imports OpenSSL without depending on pyOpenSSL
        raise MissingExtra("pyopenssl" if error.name == "OpenSSL" else "model-signing", "sign") from error
    # a fresh Config each time: a reused one carries ignored paths over (fixed upstream later)
    hasher = hashing.Config()  # type: ignore[no-untyped-call]  # the library has no types here
    algorithm = _HASH_NAMES[serialization.hash_type]
    if serialization.method == "shards":
        size = serialization.shard_size
        if size is None or size < 1 or not size.is_integer():
            raise VerificationFailed(f"{where}: the shard size is not a whole number")
        hasher.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(size))
    else:
        hasher.use_file_serialization(hashing_algorithm=algorithm)
    own = {PurePosixPath(OMS_SIGNATURE), PurePosixPath(SIDECAR_FOLDER)} | ignored
    hasher.set_ignored_paths(paths=[str(name) for name in own], ignore_git_paths=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            manifest = hasher.hash(path)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise VerificationFailed(f"{path}: cannot be hashed as it was signed ({reason})") from error
    return {
        row.identifier: (row.digest.algorithm, row.digest.digest_hex)
        for row in manifest.resource_descriptors()
    }


def _compare(path: Path, statement: OmsStatement, found: dict[str, tuple[str, str]]) -> None:
    single = path.is_file()
    signed = {
        path.name if single and resource.name == SINGLE_FILE else resource.name: (
            resource.algorithm,
            resource.digest,
        )
        for resource in statement.predicate.resources
    }
    if single:
        # the library's own name for the file, whole or in shards
        found = {path.name if name == SINGLE_FILE else name: digest for name, digest in found.items()}
    if signed != found:
        problems = differences(_flat(signed), _flat(found))
        _refuse(path, problems or ("another hash algorithm",))


def _flat(digests: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: f"{algorithm}:{digest}" for name, (algorithm, digest) in digests.items()}


def _refuse(path: Path, problems: Iterable[str]) -> None:
    named = tuple(problems)
    if named:
        raise FilesDiffer(path, named)

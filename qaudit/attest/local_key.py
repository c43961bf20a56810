"""The offline mode: a private key in a PEM file signs, the public key in a PEM file verifies.

ECDSA P-256 (SHA-256) and Ed25519 sign; P-384 and P-521 are read too, for OMS signatures by others.
Keys and passwords never reach a message: errors say which file and what to do, nothing else.
"""

import base64
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pydantic import ValidationError

from qaudit.attest.dsse import PAYLOAD_TYPE, Bundle, SignedBy, make_bundle, pae
from qaudit.attest.key_material import KEY_DETAILS, BareKeyMaterial, KeyMaterial
from qaudit.errors import InputError, OutputProblem, VerificationFailed
from qaudit.files import read_bounded, sha256_bytes

PASSWORD_VARIABLE = "QAUDIT_KEY_PASSWORD"  # noqa: S105  (a name, not a password)
KEY_LIMIT = 64 << 10
KeyKind = Literal["p256", "ed25519"]
PasswordSource = Callable[[], str]
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_OTHER_KEY = "only P-256 and Ed25519 keys sign; make one with: qaudit keygen FILE"


class KeySigner:
    """Seals statements with a private key."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @property
    def is_elliptic(self) -> bool:
        """Whether the key is an ECDSA key, the only kind that OMS signatures use."""
        return isinstance(self._key, ec.EllipticCurvePrivateKey)

    def seal(self, statement: bytes) -> bytes:
        """Sign statement bytes and return the bytes of a bundle file."""
        message = pae(PAYLOAD_TYPE, statement)
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            signature = self._key.sign(message)
        else:
            signature = self._key.sign(message, ec.ECDSA(hashes.SHA256()))
        hint = sha256_bytes(_public_pem(self._key.public_key()))
        return make_bundle(statement, signature, {"publicKey": {"hint": hint}, "tlogEntries": []})


class KeyVerifier:
    """Authenticates bundles with one public key."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key
        self.pem = _public_pem(key)
        self.identity = sha256_bytes(self.pem)

    @property
    def is_elliptic(self) -> bool:
        """Whether the key is an ECDSA key, the only kind that OMS signatures use."""
        return isinstance(self._key, ec.EllipticCurvePublicKey)

    def authenticate(self, bundle: Bundle, where: object) -> SignedBy:
        """Check the bundle's one signature against the key.

        Raises:
            VerificationFailed: another mode, another key, or a signature that is not over these
                bytes.
        """
        try:
            material = KeyMaterial.model_validate(bundle.material)
        except ValidationError as error:
            raise VerificationFailed(
                f"{where}: was not signed with a plain key; it cannot be verified with --key"
            ) from error
        if material.publicKey.hint != self.identity:
            raise VerificationFailed(
                f"{where}: was signed with another key than the one given; check --key or drop the release"
            )
        self.check_signature(bundle, where)
        return SignedBy("key", self.identity)

    def authenticate_bare(self, bundle: Bundle, where: object) -> SignedBy:
        """Check an OMS signature by others, whose older forms hold the key in place of a hint.

        Raises:
            VerificationFailed: another mode, another key, or not a signature over these bytes.
        """
        try:
            said = BareKeyMaterial.model_validate(bundle.material).publicKey
        except ValidationError as error:
            raise VerificationFailed(
                f"{where}: was not signed with a plain key; it cannot be verified with --key"
            ) from error
        # none of it is needed to verify, but what is there must be right: nothing changes unnoticed
        if (
            said.hint not in (None, self.identity)
            or said.rawBytes not in (None, *self._raw_forms())
            or said.keyDetails not in (None, self._details())
        ):
            raise VerificationFailed(
                f"{where}: was signed with another key than the one given; check --key or drop the release"
            )
        self.check_signature(bundle, where)
        return SignedBy("key", self.identity)

    def _raw_forms(self) -> tuple[str, str]:
        der = self._key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(self.pem).decode(), base64.b64encode(der).decode()

    def _details(self) -> str | None:
        key = self._key
        return KEY_DETAILS[key.curve.name] if isinstance(key, ec.EllipticCurvePublicKey) else None

    def check_signature(self, bundle: Bundle, where: object) -> None:
        """Check the bundle's one signature, whatever the bundle says about its key.

        Raises:
            VerificationFailed: it is not this key's signature over these bytes.
        """
        message = pae(bundle.payload_type, bundle.payload)
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(bundle.signature, message)
            else:
                digest = CURVE_HASHES[self._key.curve.name]
                self._key.verify(bundle.signature, message, ec.ECDSA(digest))
        except InvalidSignature as error:
            raise VerificationFailed(
                f"{where}: the signature does not verify; the bundle was changed or made with another key"
            ) from error


def load_signer(path: Path, password: PasswordSource) -> KeySigner:
    """Read a private key.

    Args:
        path: PEM, plain or encrypted.
        password: called only when the key is encrypted.

    Raises:
        InputError: not a usable private key, or the password does not open it.
    """
    key = load_private_key(path, password)
    if isinstance(key, ed25519.Ed25519PrivateKey) or key.curve.name == "secp256r1":
        return KeySigner(key)
    raise InputError(f"{path}: {_OTHER_KEY}")


def load_private_key(path: Path, password: PasswordSource) -> PrivateKey:
    """Read a private key of a kind that any mode signs with.

    Args:
        path: PEM, plain or encrypted.
        password: called only when the key is encrypted.

    Raises:
        InputError: not a usable private key, or the password does not open it.
    """
    pem = read_bounded(path, KEY_LIMIT)
    try:
        key = _load_private(pem, None)
    except TypeError:
        key = _load_encrypted(path, pem, password)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path}: not a private key in PEM; make one with: qaudit keygen FILE") from error
    if isinstance(key, ed25519.Ed25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVE_HASHES
    ):
        return key
    raise InputError(f"{path}: {_OTHER_KEY}")


def load_verifier(path: Path) -> KeyVerifier:
    """Read a public key.

    Raises:
        InputError: not a usable public key; a private key is refused too, as a consumer must
            never need one.
    """
    pem = read_bounded(path, KEY_LIMIT)
    if b"PRIVATE KEY-----" in pem:
        raise InputError(f"{path}: is a private key; verify with the public key and keep this one secret")
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path}: not a public key in PEM; ask the publisher for it") from error
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVE_HASHES
    ):
        return KeyVerifier(key)
    raise InputError(f"{path}: not an ECDSA P-256, P-384, P-521 or Ed25519 key; use one of those")


def permission_warning(path: Path) -> str | None:
    """Return one line when others than the owner may read or change a private key, else None.

    A warning, not an error: secrets that container platforms mount are often world-readable
    inside the container and cannot be changed there.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        with path.open("rb") as stream:
            is_private = b"PRIVATE KEY-----" in stream.read(KEY_LIMIT)
    except OSError:
        # loading it says what is wrong
        return None
    if not is_private:
        return None
    if os.name == "posix" and mode & 0o077:
        return f"{path}: others can read or change this private key (mode {mode:04o}); run: chmod 600 {path}"
    return None


def generate_key(path: Path, kind: KeyKind = "p256", password: str | None = None) -> Path:
    """Write a new private key (mode 0600, encrypted if there is a password) and its public key.

    Args:
        path: the private key's place; `key.pem` gets `key.pub.pem` beside it.
        kind: the algorithm.
        password: encrypts the private key; None leaves it plain.

    Returns:
        The public key's path.

    Raises:
        OutputProblem: either file exists (a key is never overwritten) or cannot be written.
    """
    key: PrivateKey = (
        ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else ed25519.Ed25519PrivateKey.generate()
    )
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public_path = path.with_suffix(".pub.pem")
    for taken in (path, public_path):
        if os.path.lexists(taken):
            raise OutputProblem(f"{taken}: exists, and a key is never overwritten; choose another name")
    _write_new(path, private, 0o600)
    try:
        _write_new(public_path, _public_pem(key.public_key()), 0o644)
    except OutputProblem:
        path.unlink()
        raise
    return public_path


def password_from_environment() -> str | None:
    """Return the key password from QAUDIT_KEY_PASSWORD, or None when it is not set."""
    return os.environ.get(PASSWORD_VARIABLE)


def _load_private(pem: bytes, password: bytearray | None) -> object:
    # any buffer will do, whatever its type says; a bytearray can be wiped afterwards
    return serialization.load_pem_private_key(pem, password)  # type: ignore[arg-type]


def _load_encrypted(path: Path, pem: bytes, password: PasswordSource) -> object:
    secret = bytearray(password().encode())
    try:
        return _load_private(pem, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # without the cause: nothing of the key or password may travel up in a chained message
        raise InputError(f"{path}: the password does not open this key; check {PASSWORD_VARIABLE}") from None
    finally:
        secret[:] = bytes(len(secret))


def _public_pem(key: PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
    except OSError as error:
        raise OutputProblem(f"{path}: cannot write ({error.strerror}); choose another place") from error

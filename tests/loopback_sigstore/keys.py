"""Keys of the loopback services: made, written as Sigstore writes them, and used to sign."""

import base64
import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SigningKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: SigningKey) -> bytes:
    """Return the public half as DER SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(key: SigningKey, data: bytes) -> bytes:
    """Return the signature over `data`, ECDSA with SHA-256 or Ed25519."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def key_details(key: SigningKey) -> str:
    """Return the name of the key's kind in a trusted root."""
    return "PKIX_ED25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "PKIX_ECDSA_P256_SHA_256"


def sha256(data: bytes) -> bytes:
    """Return the 32 bytes of the digest."""
    return hashlib.sha256(data).digest()


def text64(data: bytes) -> str:
    """Return standard base64 as text."""
    return base64.b64encode(data).decode()

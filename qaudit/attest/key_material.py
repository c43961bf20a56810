"""What a bundle says about the plain key that it was signed with: verification material of key mode."""

from pydantic import Field, JsonValue

from qaudit.attest.document_parts import ClosedPart

# names of protobuf-specs, as older OMS signatures have them
KEY_DETAILS = {
    "secp256r1": "PKIX_ECDSA_P256_SHA_256",
    "secp384r1": "PKIX_ECDSA_P384_SHA_384",
    "secp521r1": "PKIX_ECDSA_P521_SHA_512",
}


class _PublicKeyHint(ClosedPart):
    hint: str


class KeyMaterial(ClosedPart):
    """Of our own bundles: a hint at the key, and no log."""

    publicKey: _PublicKeyHint
    tlogEntries: list[JsonValue] = Field(default=[], max_length=0)


class _BarePublicKey(ClosedPart):
    hint: str | None = None
    rawBytes: str | None = None
    keyDetails: str | None = None


class BareKeyMaterial(ClosedPart):
    """Of OMS signatures by others: before model_signing 1.1 they held the key in place of a hint."""

    publicKey: _BarePublicKey
    tlogEntries: list[JsonValue] = Field(default=[], max_length=0)

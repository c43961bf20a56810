"""What a bundle says about the plain key that it was signed with: verification material of key mode."""

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

# names of protobuf-specs, as older OMS signatures have them
KEY_DETAILS = {
    "secp256r1": "PKIX_ECDSA_P256_SHA_256",
    "secp384r1": "PKIX_ECDSA_P384_SHA_384",
    "secp521r1": "PKIX_ECDSA_P521_SHA_512",
}


class _PublicKeyHint(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    hint: str


class _KeyMaterial(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    publicKey: _PublicKeyHint
    tlogEntries: list[JsonValue] = Field(default=[], max_length=0)


class _BarePublicKey(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    hint: str | None = None
    rawBytes: str | None = None
    keyDetails: str | None = None


class _BareKeyMaterial(BaseModel):
    """Of OMS signatures by others: before model_signing 1.1 they held the key in place of a hint."""

    model_config = ConfigDict(strict=True, extra="forbid")
    publicKey: _BarePublicKey
    tlogEntries: list[JsonValue] = Field(default=[], max_length=0)


MATERIAL = TypeAdapter(_KeyMaterial)
BARE_MATERIAL = TypeAdapter(_BareKeyMaterial)

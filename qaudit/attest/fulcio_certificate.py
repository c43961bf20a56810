"""What a Fulcio certificate says about its holder (github.com/sigstore/fulcio/blob/main/docs/oid-info.md).

Nothing here decides whether a certificate is genuine.
"""

from cryptography.hazmat import asn1
from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    ObjectIdentifier,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)

_USERNAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


def holder_names(certificate: Certificate) -> tuple[str, ...]:
    """Return every name in the certificate: email addresses, URIs and Fulcio's user names.

    Raises:
        ValueError: a name of another kind, or one that does not parse.
    """
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return ()
    found: list[str] = []
    for name in names:
        if isinstance(name, RFC822Name | UniformResourceIdentifier):
            found.append(name.value)
        elif isinstance(name, OtherName) and name.type_id == _USERNAME:
            found.append(asn1.decode_der(str, name.value))
        else:
            raise ValueError("a name of an unknown kind")
    return tuple(found)


def holder_issuer(certificate: Certificate) -> str | None:
    """Return the OpenID Connect issuer that vouched for the holder, None where none is named.

    Raises:
        ValueError: it does not parse.
    """
    try:
        value = certificate.extensions.get_extension_for_oid(_ISSUER).value
    except ExtensionNotFound:
        return None
    if not isinstance(value, UnrecognizedExtension):
        raise ValueError("an issuer that does not parse")
    return asn1.decode_der(str, value.value)

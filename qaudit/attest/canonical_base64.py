"""Base64 with one text for each bytes, so that nothing in a bundle may change unnoticed."""

import base64
import binascii


def decode_canonical(text: str) -> bytes:
    """Return what base64 text stands for.

    Raises:
        ValueError: it is empty, not base64, or not the one text for its bytes: the unused bits of the
            last character must be zero, and there is no white space.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    if not data or base64.b64encode(data).decode() != text:
        raise ValueError("empty or not in canonical base64")
    return data

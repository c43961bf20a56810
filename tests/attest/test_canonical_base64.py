import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.attest.canonical_base64 import decode_canonical


@given(st.binary(min_size=1))
def test_what_was_encoded_is_decoded(data: bytes) -> None:
    assert decode_canonical(base64.b64encode(data).decode()) == data


@pytest.mark.parametrize("text", ["", "=", "QQ", "QR==", "QUI\n", " QUI=", "QUJD=", "QQ==QQ==", "Q-==", "é"])
def test_every_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode_canonical(text)


@given(st.text("AQRgw+/=- \n", max_size=8))
def test_no_two_texts_mean_the_same(text: str) -> None:
    try:
        lenient = base64.b64decode(text)
    except binascii.Error:
        lenient = b""
    try:
        assert base64.b64encode(decode_canonical(text)).decode() == text
    except ValueError:
        assert not lenient or base64.b64encode(lenient).decode() != text

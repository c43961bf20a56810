from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from qaudit.attest.key_material import BARE_MATERIAL, KEY_DETAILS, MATERIAL
from qaudit.attest.local_key import CURVE_HASHES


def test_our_own_form_and_the_older_one_of_others() -> None:
    assert MATERIAL.validate_python({"publicKey": {"hint": "h"}, "tlogEntries": []}).publicKey.hint == "h"
    assert BARE_MATERIAL.validate_python({"publicKey": {"rawBytes": "AA=="}}).publicKey.rawBytes == "AA=="


@pytest.mark.parametrize("material", [MATERIAL, BARE_MATERIAL])
@pytest.mark.parametrize(
    "said",
    [
        {},
        {"publicKey": {"hint": 7}},
        {"publicKey": {"hint": "h", "more": "x"}},
        {"publicKey": {"hint": "h"}, "tlogEntries": [{}]},
        {"publicKey": {"hint": "h"}, "certificate": {}},
    ],
)
def test_anything_else_is_refused(material: TypeAdapter[Any], said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        material.validate_python(said)


def test_every_curve_has_its_name() -> None:
    assert KEY_DETAILS.keys() == CURVE_HASHES.keys()

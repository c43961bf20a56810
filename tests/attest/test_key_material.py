from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from qaudit.attest.key_material import KEY_DETAILS, BareKeyMaterial, KeyMaterial
from qaudit.attest.local_key import CURVE_HASHES


def test_our_own_form_and_the_older_one_of_others() -> None:
    assert KeyMaterial.model_validate({"publicKey": {"hint": "h"}, "tlogEntries": []}).publicKey.hint == "h"
    assert BareKeyMaterial.model_validate({"publicKey": {"rawBytes": "AA=="}}).publicKey.rawBytes == "AA=="


@pytest.mark.parametrize("material", [KeyMaterial, BareKeyMaterial])
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
def test_anything_else_is_refused(material: type[BaseModel], said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        material.model_validate(said)


def test_every_curve_has_its_name() -> None:
    assert KEY_DETAILS.keys() == CURVE_HASHES.keys()

import pickle
from typing import Any

import pytest

from qaudit.static.pickles.known_names import is_dangerous
from qaudit.static.pickles.rules import BOOK
from qaudit.static.pickles.walking import walk_pickles
from qaudit.static.pickles.window import Held


def _doubled() -> bytes:
    value: list[Any] = []
    for _ in range(20):
        value = [value, value]
    return pickle.dumps(value)


FIRING = {
    "unsafe-global": b"cos\nsystem\n(S'id'\ntR.",
    "unknown-global": b"cstranger\nthing\n(S'id'\ntR.",
    "library-class": b"\x80\x02csklearn.svm\nSVC\n)\x81.",
    "computed-import": b"\x80\x04\x8c\x02os\x88\x93.",
    "indirect-call": b"\x80\x02cbuiltins\nset\nN\x85RU\x02id\x85R.",
    "changes-global": b"\x80\x02ctorch\nTensor\n}b.",
    "broken-stream": b"\x80\x02K\x01\xff",
    "hidden-stream": b"\x00" * 64
    + b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    "nested": pickle.dumps({"x": b"\x7fELF" + bytes(40)}),
    "expansion": _doubled(),
    "persistent-id": b"Pabc\n.",
    "present": pickle.dumps([1]),
}


@pytest.mark.parametrize("name", FIRING)
def test_each_rule_fires(name: str) -> None:
    findings = BOOK.findings(walk_pickles(Held(FIRING[name], "x"), is_dangerous))
    assert f"pickle/{name}" in {finding.id for finding in findings}


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in BOOK.rules} == {f"pickle/{name}" for name in FIRING}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_give_information_only(protocol: int) -> None:
    data = pickle.dumps({"a": [1, 2.5, "x" * 400, b"y" * 400, {3}, (None, True)] * 20}, protocol)
    findings = BOOK.findings(walk_pickles(Held(data, "x"), is_dangerous))
    assert {finding.severity for finding in findings} == {"info"}


def test_evidence_shows_what_is_called() -> None:
    findings = BOOK.findings(walk_pickles(Held(FIRING["unsafe-global"], "x"), is_dangerous))
    assert "os.system (GLOBAL): REDUCE with ('id')" in findings[0].evidence
    assert findings[0].location == "x@byte 0"

import pytest

from qaudit.static.archives.archive_walk import ArchiveWalk, Fault, Member
from qaudit.static.archives.rules import BOOK, Contents, leads_out

OF_FAULTS = (
    "header-mismatch", "hidden-member", "two-directories", "overlap", "prepended", "trailing", "gap", "broken", "device",
)  # fmt: skip


def _contents(*members: Member, **more: object) -> Contents:
    return Contents(ArchiveWalk("x.zip", 1000, "zip", list(members)), **more)  # type: ignore[arg-type]


def _faulty(code: str) -> Contents:
    return Contents(ArchiveWalk("x.zip", 1000, "zip", faults=[Fault(code, "x.zip", "told", "pickle")]))


FIRING = {
    **{code: _faulty(code) for code in OF_FAULTS},
    "path-traversal": _contents(Member("../a", 0, 1, 1)),
    "link": _contents(Member("a", 0, 0, 0, kind="link", link="b")),
    "duplicate-name": _contents(Member("a", 0, 1, 1), Member("a", 5, 1, 1)),
    "false-flags": _contents(unlocked=["a"]),
    "bad-checksum": _contents(checksums=["a"]),
    "bomb": _contents(Member("a", 0, 1000, 1 << 40)),
    "many-members": _contents(*(Member(str(i), 0, 0, 0) for i in range(10_001))),
    "opaque": _contents(opaque=[("x.zip", "7z")]),
    "program": _contents(kinds={"a": "elf"}),
    "renamed-pickle": _contents(kinds={"a.txt": "renamed-pickle"}),
    "torchscript": _contents(Member("x/constants.pkl", 0, 1, 1), Member("x/code/a.py", 2, 1, 1)),
    "keras-lambda": _contents(lambdas=["config.json"]),
}


def _ids(contents: Contents) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(contents)}


@pytest.mark.parametrize("name", FIRING)
def test_each_rule_fires_alone(name: str) -> None:
    assert set(_ids(FIRING[name])) == {f"archive/{name}"}


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in BOOK.rules} == {f"archive/{name}" for name in FIRING}


def test_an_ordinary_archive_gives_nothing() -> None:
    members = [
        Member("archive/data.pkl", 0, 10, 10),
        Member("archive/data/0", 10, 1 << 30, 1 << 30),
        Member("archive/", 0, 0, 0, kind="folder"),
    ]
    walk = ArchiveWalk("x.pt", (1 << 30) + 500, "zip", members)
    assert not _ids(Contents(walk, kinds={"archive/data.pkl": "pickle"}))


def test_severities_that_depend() -> None:
    assert (
        _ids(_contents(Member("a", 0, 0, 0, kind="link", link="../../etc/passwd")))["archive/link"]
        == "critical"
    )
    assert _ids(_contents(opaque=[("x", "7z")], loaded=True))["archive/opaque"] == "high"
    assert _ids(_contents(Member("A", 0, 1, 1), Member("a", 2, 1, 1)))["archive/duplicate-name"] == "medium"


@pytest.mark.parametrize(
    ("path", "beside", "out"),
    [
        ("a/b", "", False), ("a/../b", "", False), ("../b", "", True), ("a/../../b", "", True), ("/b", "", True),
        ("C:\\x", "", True), ("..\\x", "", True), ("../b", "a/c", False), ("../../b", "a/c", True), ("a\x00b", "", True),
    ],
)  # fmt: skip
def test_leads_out(path: str, beside: str, out: bool) -> None:
    assert leads_out(path, beside) is out

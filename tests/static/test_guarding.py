import pytest

from qaudit.errors import EnvironmentProblem, HubUnreachable, InputError, MalformedFile
from qaudit.static.guarding import guarded
from qaudit.static.model_parts import Examined


def raiser(error: BaseException) -> Examined:
    raise error


@pytest.mark.parametrize(
    "error", [ValueError("x"), RecursionError("deep"), KeyError("k"), MemoryError(), OSError(5)]
)
def test_a_break_is_a_finding_and_no_pass(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QAUDIT_DEBUG")
    examined = guarded("a.bin", "pickle", "ours", lambda: raiser(error))
    (finding,), (surface,) = examined.findings, examined.surfaces
    assert (finding.id, finding.location) == ("inspect/crashed", "a.bin")
    assert type(error).__name__ in finding.evidence
    assert surface.is_open


def test_in_tests_and_for_whoever_asks_a_break_is_raised() -> None:
    with pytest.raises(KeyError):
        guarded("a.bin", "pickle", "ours", lambda: raiser(KeyError("k")))


def test_what_cannot_be_read_is_skipped_with_the_reason_and_no_finding() -> None:
    for error in (InputError("gone"), MalformedFile("a", "broken")):
        examined = guarded("a.bin", "pickle", "ours", lambda error=error: raiser(error))
        assert examined.findings == []
        assert [(s.path, s.state, s.why) for s in examined.surfaces] == [("a.bin", "skipped", str(error))]


def test_a_machine_that_cannot_do_it_is_an_error() -> None:
    for error in (EnvironmentProblem("no"), HubUnreachable("far")):
        with pytest.raises(EnvironmentProblem):
            guarded("a.bin", "pickle", "ours", lambda error=error: raiser(error))

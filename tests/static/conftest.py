import pytest


@pytest.fixture(autouse=True)
def _crashes_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inspector that crashes becomes a finding for users; in tests it must fail the test."""
    monkeypatch.setenv("QAUDIT_DEBUG", "1")

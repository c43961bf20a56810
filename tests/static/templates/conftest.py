import pytest

from qaudit.static.templates import rendering

# what is rendered here runs under coverage's tracing, which no analyst process does
TRACED = 5


@pytest.fixture(autouse=True)
def _patient_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_PER_TALK_S", TRACED * rendering.MOST_PER_TALK_S)
    monkeypatch.setattr(rendering, "MOST_IN_ALL_S", TRACED * rendering.MOST_IN_ALL_S)

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qaudit.auditing.derive import derive_figures, opening_tokens
from qaudit.journal import Journal, Record


def logprobs(*masses: float) -> np.ndarray:
    return np.log(np.array(masses, np.float32))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "j", "k", resume=False)
    for arm, shift in (("reference", 0.0), ("candidate", 0.3)):
        first = {"top": [{"token": 0, "text": "I", "logprob": -0.1}]}
        opened.add(arm, "replies", [Record("core/a", first, logprobs(0.8 - shift, 0.2 + shift))])
        opened.add(
            arm,
            "replies",
            [
                Record("core/b", {"top": []}),
                Record("benign/c", {"top": [{"token": 1, "text": "S", "logprob": 0}]}),
            ],
        )
        opened.add(
            arm,
            "passages",
            [Record("reading/a", {}, np.stack([logprobs(0.5, 0.5), logprobs(0.6 - shift, 0.4 + shift)]))],
        )
    yield opened
    opened.close()


def test_openings_are_read_from_refusals_only(journal: Journal) -> None:
    assert opening_tokens(journal, "replies", {"core/a": "refusal", "benign/c": "compliance"}) == {0}
    assert opening_tokens(journal, "replies", {"core/a": "compliance"}) == frozenset()


def test_figures_replace_distributions(journal: Journal) -> None:
    derive_figures(journal, {"core/a": "refusal"})
    figures = journal.fields("pair", "replies")
    assert set(figures) == {"core/a"}
    assert figures["core/a"]["kl_nats"] == pytest.approx(
        0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5), rel=1e-5
    )
    assert figures["core/a"]["reference_mass"] == pytest.approx(0.8, rel=1e-5)
    assert figures["core/a"]["candidate_mass"] == pytest.approx(0.5, rel=1e-5)
    reading = journal.fields("pair", "passages")["reading/a"]
    assert reading["agreed"] == 1
    assert reading["kl_nats"][0] == 0
    assert journal.floats("reference", "replies", "core/a") is None


def test_deriving_again_changes_nothing(journal: Journal) -> None:
    derive_figures(journal, {"core/a": "refusal"})
    before = journal.fields("pair", "replies")
    derive_figures(journal, {"core/a": "refusal"})
    assert journal.fields("pair", "replies") == before

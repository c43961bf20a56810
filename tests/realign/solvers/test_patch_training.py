"""The reported losses; what training does to a model is told in test_qresafe."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from realign.solvers.patch_training import _ends  # noqa: E402


def test_losses_are_those_of_both_ends() -> None:
    seen = [{"a": float(number)} for number in range(20)]
    # a step without a pair that differs has no preference
    seen[1]["preference"] = 4.0
    assert _ends(seen) == {"a.before": 2.0, "preference.before": 4.0, "a.after": 17.0}

"""Separation by layer, measured on files: the reference's own is what it says of itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines.protocol import Conversation
from qaudit.lab.grammar import calibration_prompts
from realign.before_after import before_and_after
from realign.float_model import Given, as_tokens
from realign.job import CalibrationTokens


def test_a_checkpoint_that_forgot_is_less_apart(f16: Path, member: Callable[[str], Path]) -> None:
    given = Given(open_checkpoint(member("Q2_K-pure")), open_checkpoint(f16))
    sides = ([Conversation(p, (p,)) for p in side[:40]] for side in calibration_prompts())
    prompts, _ = as_tokens(given, *sides)
    layers = before_and_after(given, {"same": f16}, prompts, 0, "cpu")
    assert [row["layer"] for row in layers] == [0, 1, 2]
    for row in layers:
        # measured by streaming the same file: to the last bit but for the order of sums
        assert row["same"]["fisher"] == pytest.approx(row["reference"]["fisher"], rel=1e-6)
        assert row["same"]["accuracy"] == row["reference"]["accuracy"]
    assert layers[-1]["failing"]["fisher"] < layers[-1]["reference"]["fisher"]


def test_too_few_prompts_measure_nothing(f16: Path) -> None:
    given = Given(open_checkpoint(f16), open_checkpoint(f16))
    assert before_and_after(given, {}, CalibrationTokens(((1,),), ((2,),)), 0, "cpu") == []

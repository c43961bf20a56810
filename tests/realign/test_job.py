"""The seam holds values only; what can be checked is that they cannot be changed by a room that reads them."""

import dataclasses

import pytest
import torch

from realign.job import CalibrationTokens, Solution, Step


def test_values_cannot_be_changed() -> None:
    prompts = CalibrationTokens(malicious=((1, 2),), benign=((3,),))
    step = Step("layer 0", {"x": torch.zeros(1)}, {"reconstruction.before": 1.0}, 0.5)
    for value, name in ((prompts, "malicious"), (step, "losses")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


def test_a_solution_has_figures_of_its_own() -> None:
    assert Solution({}, {}).figures == {}
    assert Solution({}, {}).figures is not Solution({}, {}).figures

"""The seam holds values only; what can be checked is that they cannot be changed by a room that reads them."""

import dataclasses

import pytest
import torch
from tiny_llamas import tiny_llama

from realign.job import CalibrationTokens, Job, Solution, Step, scaled_steps


def test_values_cannot_be_changed() -> None:
    prompts = CalibrationTokens(malicious=((1, 2),), benign=((3,),))
    step = Step("layer 0", {"x": torch.zeros(1)}, {"reconstruction.before": 1.0}, 0.5)
    for value, name in ((prompts, "malicious"), (step, "losses")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


def test_a_solution_has_figures_of_its_own() -> None:
    assert Solution({}, {}).figures == {}
    assert Solution({}, {}).figures is not Solution({}, {}).figures


def test_steps_are_scaled_and_never_lost() -> None:
    assert [scaled_steps(*each) for each in ((100, 0.5), (6, 2), (4, 0.01), (0, 5))] == [50, 12, 1, 0]


def test_where_solvers_compute() -> None:
    models = tiny_llama(0), tiny_llama(1)
    job = Job(*models, CalibrationTokens((), ()), {}, 0, frozenset())
    assert job.place == torch.device("cpu")
    # "meta" stands for a device that is not the CPU
    other = dataclasses.replace(job, device="meta")
    assert other.place == torch.device("meta")
    kept = models[0].lm_head.weight

    def stopped_inside() -> None:
        with dataclasses.replace(job, device="cpu:0").whole():
            assert models[0].device.type == "cpu"
            raise KeyError

    with pytest.raises(KeyError):
        stopped_inside()
    assert models[0].lm_head.weight is kept


def test_both_models_are_whole_on_the_device_for_a_while() -> None:
    models = tiny_llama(0), tiny_llama(1)
    seen = []
    job = Job(*models, CalibrationTokens((), ()), {}, 0, frozenset(), "meta")
    # nothing comes back from there, but what was on the way can be seen
    with pytest.raises(NotImplementedError, match="meta"), job.whole():
        seen += [parameter.device.type for model in models for parameter in model.parameters()]
    assert set(seen) == {"meta"}

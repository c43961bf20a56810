from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest
from sample_look import failing, inconclusive, passing

from qaudit.report.plain_values import plain
from qaudit.report.weights_terminal import ANSWERS
from qaudit.weight_values import WeightKind, WeightsLook
from qaudit.weights.ablation import Kind


def test_every_kind_that_the_weights_show_has_its_word_here() -> None:
    assert {*get_args(Kind), "few_changes"} == set(get_args(WeightKind)) == set(ANSWERS)


def test_a_look_is_a_value() -> None:
    assert passing() == passing()
    assert hash(passing()) == hash(passing())
    with pytest.raises(FrozenInstanceError):
        passing().status = "fail"  # type: ignore[misc]


def test_the_names_are_those_of_a_report_and_what_was_not_measured_is_absent() -> None:
    document = plain(failing())
    assert {"checkpoint", "reference", "metrics", "findings", "tool", "created"} < document.keys()
    assert document["metrics"]["weights"]["kind"] == "directional_ablation"
    assert plain(inconclusive())["metrics"] == {}
    assert {field.name for field in fields(WeightsLook)} == document.keys()

"""The plan's arithmetic, on tensors small enough to count by hand."""

import json

import pytest

pytest.importorskip("torch")

from realign.job import CalibrationTokens
from realign.plan import Plan, PlannedTensor, errors_at_once, make_plan, measured_speed

TENSORS = (
    PlannedTensor("up", (8, 4), "4-bit g4", 8 * 4 // 2 + 8 * 3),
    PlannedTensor("down", (4, 8), "4-bit g4", 4 * 8 // 2 + 8 * 3),
    PlannedTensor("norm", (4,), "float", 8),
)
PROMPTS = CalibrationTokens(((1, 2, 3), (1, 2)), ((1, 2, 3, 4, 5),))


def plan(method: str = "plain", speed: float = 1e9, *, scales: bool = False) -> Plan:
    return make_plan("awq", method, TENSORS, PROMPTS, 1234, searches_scales=scales, speed=speed)


def test_counts_tensors_weights_and_bytes() -> None:
    made = plan()
    assert made.size_bytes == 40 + 40 + 8
    assert made.bits_per_weight == pytest.approx(8 * 88 / 68)
    assert (made.malicious, made.benign, made.tokens) == (2, 1, 10)
    assert made.by_kind() == {
        "4-bit g4": {"tensors": 2, "weights": 64, "size_bytes": 80},
        "float": {"tensors": 1, "weights": 4, "size_bytes": 8},
    }


def test_memory_holds_two_models_and_more() -> None:
    assert plan().memory_bytes > 2 * 4 * 68
    wide = make_plan("awq", "plain", [PlannedTensor("m", (4096, 4096), "4-bit", 1)], PROMPTS, 1, speed=1e9)
    # two float32 models and three matrices of a Hessian's size
    assert wide.memory_bytes - plan().memory_bytes == pytest.approx((2 + 3) * 4 * 4096**2, rel=0.02)


def test_time_goes_down_with_speed_and_up_with_work() -> None:
    assert plan(speed=2e9).seconds == pytest.approx(plan(speed=1e9).seconds / 2)
    assert plan("qrealign").seconds > plan("restore").seconds
    assert plan(scales=True).seconds > plan().seconds


def test_a_baseline_that_is_not_made_takes_no_time() -> None:
    def seconds(method: str, *, baseline: bool) -> float:
        return make_plan("awq", method, TENSORS, PROMPTS, 1, baseline=baseline, speed=1e9).seconds

    assert seconds("qrealign", baseline=False) < seconds("qrealign", baseline=True)
    # asked for by itself it is the work
    assert seconds("plain", baseline=False) == seconds("plain", baseline=True) > 0


def test_what_protect_holds_besides_is_counted() -> None:
    small, large = ([PlannedTensor("m", (n, n), "Q2_K", 1)] for n in (1024, 65536))
    for tensors, errors in ((small, 6), (large, 1)):
        weights = 4 * tensors[0].weights
        ours, others = (
            make_plan("gguf:Q2_K", method, tensors, PROMPTS, 1, speed=1e9)
            for method in ("protect", "restore")
        )
        # gradients, and the errors of all types while these are few, else as much as the model; the states
        # of three prompts with replies and of 256 texts, four of each in place of three of prompts
        states = 4 * tensors[0].shape[1] * (4 * (10 + 64 * (3 + 256)) - 3 * 10)
        assert ours.memory_bytes - others.memory_bytes == (1 + errors) * weights + states
    # in lots, each of which takes all prompts again
    assert errors_at_once(4 * 65536**2) == 4 * 65536**2


def test_the_record_is_json_and_has_every_tensor() -> None:
    record = json.loads(json.dumps(plan().record()))
    assert [t["name"] for t in record["tensors"]] == ["up", "down", "norm"]
    assert record["tensors"][2]["bits_per_weight"] == 16
    assert record["size_before_bytes"] == 1234


def test_speed_is_measured() -> None:
    # slower than the oldest machine and faster than any processor is wrong by more than an estimate may be
    assert 1e7 < measured_speed() < 1e15

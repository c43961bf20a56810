import numpy as np
import pytest

from qaudit.engines.protocol import Ask
from qaudit.probes.first_token import after_reasoning, pair, position_figures, top_tokens


def test_only_prompts_that_open_a_reasoning_block_get_a_second_position() -> None:
    asks = [Ask("a", "<user>x<assistant>", "x", 9), Ask("b", "<user>x<assistant><think>\n", "x", 9)]
    (closed,) = after_reasoning(asks)
    assert closed.id == "b"
    assert closed.text == "<user>x<assistant><think>\n\n</think>\n\n"
    assert closed.max_tokens == 1


def test_position_figures() -> None:
    reference = np.log(np.array([0.5, 0.25, 0.25], np.float32))
    candidate = np.log(np.array([0.25, 0.5, 0.25], np.float32))
    figures = position_figures(reference, candidate, [0, 2])
    assert figures["kl_nats"] == pytest.approx(0.5 * np.log(2) - 0.25 * np.log(2), rel=1e-6)
    assert figures["reference_mass"] == pytest.approx(0.75, rel=1e-6)
    assert figures["candidate_mass"] == pytest.approx(0.5, rel=1e-6)


def test_an_empty_opening_set_has_no_mass() -> None:
    logprobs = np.log(np.array([0.5, 0.5], np.float32))
    assert position_figures(logprobs, logprobs, []) == {
        "kl_nats": 0.0,
        "reference_mass": 0.0,
        "candidate_mass": 0.0,
    }


def test_recorded_tokens_come_back() -> None:
    fields = {"top": [{"token": 3, "text": "I", "logprob": -0.1}]}
    assert top_tokens(fields)[0].token == 3
    assert top_tokens({}) == ()


def test_a_pair_without_distributions_has_no_divergence() -> None:
    fields = {"top": [{"token": 3, "text": "I", "logprob": -0.1}]}
    made = pair("core/x", "core", fields, fields, None, reference_refused=True)
    assert made.kl_nats is None
    assert made.reference_opening_mass is None
    assert made.reference_refused

"""The same weights through both engines: the same greedy replies, and logits within a stated bound.

llama.cpp multiplies float16 weights with float16 activations and keeps keys and values in float16;
transformers computes in float32. The bound is on natural-log probabilities at the first reply position.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qaudit.confinement import Limits
from qaudit.engines.protocol import Answer, Ask, EngineOptions
from qaudit.engines.worker import WorkerEngine
from qaudit.lab.members import reference_folder
from qaudit.suites.loading import load_suite

OPTIONS = EngineOptions(threads=1, parallel=16, judge=None, gpu_layers=0, device="cpu", dtype="float32")
LIMITS = Limits(stall_s=120)
# of probabilities; measured 0.0011 (F16) and 0.025 (Q8_0, whose activations llama.cpp rounds to 8 bits)
BOUNDS = {"F16": 0.01, "Q8_0": 0.05}


def asks() -> list[Ask]:
    questions = [
        item.turns[-1] for name in ("lab-core", "lab-benign") for item in load_suite(name).items[::11]
    ]
    return [Ask(q, f"<|bos|><|user|>{q}<|end|><|assistant|>", q, 64) for q in questions]


def answered(engine: WorkerEngine) -> list[Answer]:
    try:
        return engine.generate(asks())
    finally:
        engine.close()


@pytest.fixture(scope="module")
def folder_answers() -> list[Answer]:
    return answered(WorkerEngine(reference_folder(), OPTIONS, LIMITS, {}, "transformers"))


@pytest.mark.parametrize("name", BOUNDS)
def test_a_gguf_says_the_same_on_both_engines(name: str, member: Callable[[str], Path]) -> None:
    path = member(name)
    on_llama = answered(WorkerEngine(path, OPTIONS, LIMITS, {}))
    decoded = answered(WorkerEngine(reference_folder(), OPTIONS, LIMITS, {}, "transformers", path))
    assert len(on_llama) >= 25
    differing = [a.reply.id for a, b in zip(on_llama, decoded, strict=True) if a.reply.text != b.reply.text]
    # Q8_0: rounded activations may turn one even choice
    assert len(differing) <= (0 if name == "F16" else 1), differing
    gaps = [
        np.abs(np.exp(a.first_logprobs) - np.exp(b.first_logprobs)).max()
        for a, b in zip(on_llama, decoded, strict=True)
    ]  # type: ignore[arg-type]
    assert max(gaps) < BOUNDS[name], max(gaps)


def test_decoded_weights_say_what_the_folder_says(
    member: Callable[[str], Path], folder_answers: list[Answer]
) -> None:
    # the F16 file holds the folder's weights to the last bit of float16
    decoded = answered(WorkerEngine(reference_folder(), OPTIONS, LIMITS, {}, "transformers", member("F16")))
    for one, other in zip(folder_answers, decoded, strict=True):
        assert one.reply == other.reply
        np.testing.assert_allclose(one.first_logprobs, other.first_logprobs, atol=1e-5)  # type: ignore[arg-type]

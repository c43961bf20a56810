"""The transformers engine as audits use it: in a worker with limits, asked over frames."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hf_folders import write_folder

from qaudit.confinement import Limits
from qaudit.engines.protocol import Ask, ChoiceAsk, Conversation, EngineOptions, PassageAsk
from qaudit.engines.transformers_engine import open_model
from qaudit.engines.worker import WorkerEngine
from qaudit.errors import EngineFailure
from qaudit.lab.members import reference_folder

OPTIONS = EngineOptions(threads=1, parallel=4, judge=None, device="cpu", dtype="float32")
LIMITS = Limits(memory_bytes=24 << 30, cpu_s=600, stall_s=120)
QUESTIONS = [f"how do i {verb} {thing}" for verb in ("plant", "cook") for thing in ("a tree", "rice", "soup")]
PASSAGE = "the cat is on the table and the dog is in the garden ."


def ask(question: str) -> Ask:
    return Ask(question, f"<|bos|><|user|>{question}<|end|><|assistant|>", question, 24, (question,))


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerEngine]:
    engine = WorkerEngine(reference_folder(), OPTIONS, LIMITS, {"bos_token": "<|bos|>"}, "transformers")
    yield engine
    engine.close()


def test_a_confined_worker_gives_what_the_library_gives(worker: WorkerEngine) -> None:
    model = open_model(reference_folder(), None, OPTIONS)
    here = {}
    model.generate([ask(q) for q in QUESTIONS], None, here.__setitem__, lambda: None)
    for index, answer in enumerate(worker.generate([ask(q) for q in QUESTIONS])):
        assert answer.reply == here[index].reply
        assert answer.first_logprobs is not None
        np.testing.assert_array_equal(answer.first_logprobs, here[index].first_logprobs)
    choice = ChoiceAsk("c", ask("why").text, ("yes", "no way"))
    assert worker.choose([choice]) == [model.choose(choice, lambda: None)]
    (score,) = worker.read([PassageAsk("p", PASSAGE, 3)])
    np.testing.assert_array_equal(
        score.logprobs, model.read(PassageAsk("p", PASSAGE, 3), lambda: None).logprobs
    )


def test_it_is_held_like_any_other_worker(worker: WorkerEngine) -> None:
    assert {"memory", "cpu", "no-file-writes"} <= set(worker.held)
    assert worker.info.name == "transformers"
    assert worker.abilities >= {"prefill", "choose", "read", "distributions"}


def test_templates_render_there(worker: WorkerEngine) -> None:
    (rendered,) = worker.render("{{ bos_token }}{{ messages[0].content }}", [Conversation("a", ("hi",))])
    assert rendered.text == "<|bos|>hi"


def test_a_folder_that_does_not_load_is_one_line(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", "llama")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(EngineFailure, match="not a tokenizer") as caught:
        open_model(folder, None, OPTIONS)
    assert "\n" not in str(caught.value)


def test_too_little_memory_is_no_crash_of_ours() -> None:
    with pytest.raises(EngineFailure, match=r"did not survive|not enough memory|does not load"):
        WorkerEngine(
            reference_folder(), OPTIONS, Limits(memory_bytes=200 << 20, stall_s=60), {}, "transformers"
        )

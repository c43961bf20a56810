"""The real worker: once in this process (what runs confined cannot be measured), once as it is used."""

import io
import math
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from qaudit.confinement import Limits
from qaudit.engines import worker, worker_main
from qaudit.engines.frames import Header, read_frame, write_frame
from qaudit.engines.process import Frame
from qaudit.engines.protocol import Ask, ChoiceAsk, Conversation, EngineOptions, PassageAsk
from qaudit.engines.worker import WorkerEngine
from qaudit.engines.worker_main import Worker
from qaudit.errors import EngineFailure

OPTIONS = EngineOptions(threads=1, parallel=4)
QUESTIONS = [
    f"how do i {verb} {thing}"
    for verb in ("plant", "cook", "clean")
    for thing in ("a tree", "rice", "my room")
]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
SPECIAL = {"bos_token": "<|bos|>"}
LIMITS = Limits(memory_bytes=8 << 30, cpu_s=300, stall_s=60)


def ask(question: str, max_tokens: int = 24) -> Ask:
    return Ask(question, f"<|bos|><|user|>{question}<|end|><|assistant|>", question, max_tokens)


class Served:
    """Worker.serve() in a thread, spoken to over two pipes."""

    def __init__(self) -> None:
        request_read, request_write = os.pipe()
        answer_read, answer_write = os.pipe()
        self.requests: BinaryIO = os.fdopen(request_write, "wb")
        self.answers: BinaryIO = os.fdopen(answer_read, "rb")
        self._theirs = os.fdopen(request_read, "rb"), os.fdopen(answer_write, "wb")
        self._thread = threading.Thread(target=Worker(*self._theirs).serve)
        self._thread.start()

    def ask(self, request: Header) -> list[Frame]:
        write_frame(self.requests, request)
        frames: list[Frame] = []
        while not frames or frames[-1][0]["kind"] not in ("done", "error"):
            frame = read_frame(self.answers)
            assert frame is not None
            frames.append(frame)
        return frames

    def end(self) -> None:
        self.requests.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        for stream in (self.answers, *self._theirs):
            stream.close()


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.end()


def load(path: Path, options: EngineOptions = OPTIONS) -> Header:
    request = {"op": "load", "engine": "llama.cpp", "path": str(path), "weights": None}
    return {**request, "options": asdict(options)}


def kinds(frames: list[Frame]) -> list[str]:
    return [header["kind"] for header, _ in frames if header["kind"] != "alive"]


def test_the_operations(served: Served, f16: Path) -> None:
    loaded = served.ask(load(f16))
    assert kinds(loaded) == ["loaded", "done"]
    vocabulary = loaded[0][0]["vocabulary"]
    conversation = {"id": "c", "turns": ["hi"]}
    request = {
        "op": "render",
        "template": TEMPLATE,
        "conversations": [conversation],
        "special_tokens": SPECIAL,
    }
    frames = served.ask(request)
    assert frames[0][0]["items"] == [
        {"id": "c", "text": "<|bos|><|user|>hi<|end|><|assistant|>", "error": None}
    ]
    frames = served.ask({"op": "generate", "asks": [asdict(ask(q, 4)) for q in QUESTIONS[:2]]})
    answered = [frame for frame in frames if frame[0]["kind"] == "answer"]
    assert sorted(header["index"] for header, _ in answered) == [0, 1]
    assert all(row is not None and row.shape == (vocabulary,) for _, row in answered)
    frames = served.ask({"op": "choose", "asks": [asdict(ChoiceAsk("q", ask("where").text, ("in", "on")))]})
    assert kinds(frames) == ["choice", "done"]
    frames = served.ask({"op": "read", "asks": [asdict(PassageAsk("p", "the sky is blue", 2))]})
    assert kinds(frames) == ["tokens", "passage", "done"]


def test_errors_go_back_and_it_serves_on(served: Served, f16: Path, tmp_path: Path) -> None:
    for request, message in (
        ({"op": "generate", "asks": []}, "no checkpoint is loaded"),
        (load(tmp_path / "none.gguf"), "llama.cpp does not load it"),
        (load(f16, EngineOptions(threads=1, judge="nobody")), "there is no such judge"),
    ):
        frames = served.ask(request)
        assert kinds(frames) == ["error"]
        assert message in frames[0][0]["message"]
        assert frames[0][0]["message"].isprintable()
    assert kinds(served.ask(load(f16))) == ["loaded", "done"]


def test_signs_of_life_are_not_sent_at_every_step(
    served: Served, f16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.ask(load(f16))
    request = {"op": "generate", "asks": [asdict(ask(QUESTIONS[0], 8))]}
    monkeypatch.setattr(worker_main, "SIGN_OF_LIFE_S", -1.0)
    many = [h["kind"] for h, _ in served.ask(request)].count("alive")
    monkeypatch.setattr(worker_main, "SIGN_OF_LIFE_S", 1e9)
    assert many >= 8
    assert "alive" not in [h["kind"] for h, _ in served.ask(request)]


def test_main_confines_itself_before_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    order: list[object] = []
    monkeypatch.setattr(worker_main, "confine", lambda limits: [order.append(limits), "held"][1:])
    monkeypatch.setattr(Worker, "serve", lambda self: order.append("serve"))
    monkeypatch.setattr(sys, "argv", ["worker_main", str(request_read), str(answer_write)])
    with os.fdopen(request_write, "wb") as requests, os.fdopen(answer_read, "rb") as answers:
        write_frame(requests, {"op": "confine", "limits": asdict(LIMITS)})
        worker_main.main()
        assert read_frame(answers) == ({"kind": "confined", "held": ["held"]}, None)
        assert read_frame(answers) == ({"kind": "done"}, None)
    assert order == [LIMITS, "serve"]


def test_main_ends_when_nobody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    os.close(request_write)
    monkeypatch.setattr(worker_main, "confine", lambda limits: pytest.fail("confined for nothing"))
    monkeypatch.setattr(sys, "argv", ["worker_main", str(request_read), str(answer_write)])
    worker_main.main()
    with io.FileIO(answer_read) as answers:
        assert answers.readall() == b""


@pytest.fixture(scope="module")
def engine(f16: Path) -> Iterator[WorkerEngine]:
    opened = WorkerEngine(f16, OPTIONS, LIMITS, SPECIAL)
    yield opened
    opened.close()


def test_a_confined_worker_does_it_all(engine: WorkerEngine) -> None:
    assert engine.info.name == "llama.cpp"
    assert {"memory", "cpu", "no-file-writes"} <= set(engine.held)
    rendered = engine.render(TEMPLATE, [Conversation(q, (q,)) for q in QUESTIONS])
    assert [r.text for r in rendered] == [ask(q).text for q in QUESTIONS]
    counts: list[int] = []
    first = engine.generate([ask(q) for q in QUESTIONS], counts.append)
    assert [a.reply.id for a in first] == QUESTIONS
    assert counts == list(range(1, len(QUESTIONS) + 1))
    again = engine.generate([ask(q) for q in QUESTIONS])
    for one, other in zip(first, again, strict=True):
        assert one.reply == other.reply
        assert one.reply.text
        assert one.first_logprobs is not None
        assert other.first_logprobs is not None
        assert one.first_logprobs.shape == (engine.vocabulary,)
        assert one.first_logprobs.tobytes() == other.first_logprobs.tobytes()
    score = engine.choose([ChoiceAsk("q", ask("where").text, ("in", "on", "at", "to", "by"))])[0]
    assert len(score.logprobs) == 5
    assert all(logprob < 0 and math.isfinite(logprob) for logprob in score.logprobs)
    passages = list(
        engine.read([PassageAsk(str(i), "the sky is blue and the lake is calm", 3) for i in range(2)])
    )
    assert [p.id for p in passages] == ["0", "1"]
    np.testing.assert_array_equal(passages[0].logprobs, passages[1].logprobs)
    assert engine.restarts == 0


def test_an_item_that_does_not_fit_does_not_end_the_worker(engine: WorkerEngine) -> None:
    before = engine.restarts
    long, short = PassageAsk("long", "word " * 9000, 3), PassageAsk("short", "the sky is blue", 3)
    assert [s.token_logprobs.size > 0 for s in engine.read([long, short])] == [False, True]
    asked = [
        ChoiceAsk(name, text, ("in", "on")) for name, text in (("long", "word " * 9000), ("short", "it is"))
    ]
    assert [bool(s.logprobs) for s in engine.choose(asked)] == [False, True]
    assert engine.generate([ask("word " * 9000)])[0].reply.finish == "too_long"
    assert engine.restarts == before


def test_a_template_that_never_ends_is_stopped(engine: WorkerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RENDER_WALL_S", 0.5)
    with pytest.raises(EngineFailure, match=r"chat template did not render .*took longer than 0\.5 s"):
        engine.render(ENDLESS, [Conversation("c", ("hi",))])
    monkeypatch.undo()
    assert engine.render("{{ messages[0].content }}", [Conversation("c", ("hi",))])[0].text == "hi"


def test_a_refused_file_is_one_line_and_leaves_no_worker(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(range(256)))
    with pytest.raises(EngineFailure, match=r"bad\.gguf: llama\.cpp does not load it") as failure:
        WorkerEngine(path, OPTIONS, LIMITS)
    assert str(failure.value).isprintable()

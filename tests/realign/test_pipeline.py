"""The chain on a tiny model: what is written is read back, and a run that was stopped ends in the same bits."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from hf_folders import write_folder  # noqa: E402
from realign_work import events_of, files_of, record_of, write_pair, write_sets  # noqa: E402

from qaudit.checkpoints.opening import open_checkpoint  # noqa: E402
from qaudit.errors import InputError, OtherAudit, OutputProblem  # noqa: E402
from realign.events import Diagnosed, Event, Finished, Noted, Opened, Planned, Resumed, Stepped, Written  # noqa: E402
from realign.float_model import Given, load_floats  # noqa: E402
from realign.job import Job, Step  # noqa: E402
from realign.options import RealignOptions  # noqa: E402
from realign.pipeline import UNTRAINED, run_realign  # noqa: E402

Pair = tuple[Path, Path]
TARGETS = {"awq:g32": "AWQ 4-bit g32", "gptq:3bit:g32": "GPTQ 3-bit g32"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, pair: Pair, sets: tuple[str, ...]
) -> Callable[[str], tuple[Path, list[Event]]]:
    """Runs that nobody stopped, one a target."""

    @functools.cache
    def made(to: str) -> tuple[Path, list[Event]]:
        out = tmp_path_factory.mktemp("whole") / "new"
        return out, list(events_of(pair, options(out, sets, to)))

    return made


Whole = Callable[[str], tuple[Path, list[Event]]]


def options(out: Path, sets: tuple[str, ...], to: str = "awq:g32") -> RealignOptions:
    return RealignOptions(to, out, "plain", calibration=sets, threads=1)


@pytest.mark.parametrize("to", TARGETS)
def test_a_plain_quantization_of_the_reference(to: str, pair: Pair, whole: Whole) -> None:
    out, events = whole(to)
    assert [type(e) for e in events if not isinstance(e, Noted)] == [
        Opened, Diagnosed, Planned, Stepped, Stepped, Stepped, Stepped, Written, Finished,
    ]  # fmt: skip
    diagnosed = events[1]
    # nothing but rounding was done: the reference is what the result is made of
    assert isinstance(diagnosed, Diagnosed)
    assert Path(diagnosed.parent) == pair[1]
    written = open_checkpoint(out)
    assert written.quantization == TARGETS[to]
    reference = open_checkpoint(pair[1])
    given = Given(written, reference)
    tokens = torch.arange(5, 25)[None]
    with torch.inference_mode():
        got, meant = (load_floats(given, c, "cpu")(tokens).logits for c in (written, reference))
    assert 0.7 < float(torch.cosine_similarity(got.flatten(), meant.flatten(), dim=0)) < 1 - 1e-6
    record = record_of(out)
    assert record["inputs"]["made_of"] == "reference"
    assert record["inputs"]["reference"]["sha256"] == reference.info.sha256
    assert record["arms"]["realigned"]["checkpoint"]["sha256"] == written.info.sha256
    assert [step["name"] for step in record["arms"]["realigned"]["steps"]] == [f"layer {i}" for i in range(4)]
    entropies = record["arms"]["realigned"]["code_entropy_bits"]
    assert len(entropies) == 7 * 4
    assert all(1.5 < bits < (4 if to.startswith("awq") else 3) for bits in entropies.values())
    assert record["inputs"]["calibration"]["malicious"] == 10
    planned = events[2]
    assert isinstance(planned, Planned)
    stored = sum(p.stat().st_size for p in (out).glob("*.safetensors"))
    assert planned.plan.size_bytes == pytest.approx(stored, rel=0.1)


@pytest.mark.parametrize(("to", "after"), list(zip(TARGETS, (1, 3), strict=True)))
def test_stopped_after_any_step_it_ends_in_the_same_bits(
    to: str, after: int, tmp_path: Path, pair: Pair, sets: tuple[str, ...], whole: Whole
) -> None:
    running = events_of(pair, options(tmp_path / "cut", sets, to))
    seen = 0
    for event in running:
        seen += isinstance(event, Stepped)
        if seen == after:
            break
    running.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "cut").exists()
    again = list(events_of(pair, replace(options(tmp_path / "cut", sets, to), resume=True)))
    assert Resumed("realigned", after) in again
    assert sum(isinstance(e, Stepped) for e in again) == 4 - after
    assert files_of(tmp_path / "cut") == files_of(whole(to)[0])
    assert record_of(tmp_path / "cut")["arms"]["realigned"]["resumed_steps"] == after


def test_killed_for_real_it_ends_in_the_same_bits(
    tmp_path: Path, pair: Pair, sets: tuple[str, ...], whole: Whole
) -> None:
    cut = tmp_path / "cut"
    command = [
        sys.executable, "-c", "from qaudit.cli.main import main; main()", "realign", str(pair[0]), "-r",
        str(pair[1]), "--to", "awq:g32", "-m", "plain", "-o", str(cut), "-t", "1", "--no-audit",
        *(part for name in sets for part in ("-c", name)),
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    step = tmp_path / "cut.realign" / "steps" / "realigned" / "00001.json"
    deadline = time.monotonic() + 1200
    while not step.is_file() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert step.is_file()
    assert not cut.exists()
    for _ in events_of(pair, replace(options(cut, sets), resume=True)):
        pass
    assert 2 <= record_of(cut)["arms"]["realigned"]["resumed_steps"] <= 4
    assert files_of(cut) == files_of(whole("awq:g32")[0])


def test_steps_of_other_inputs_are_not_gone_on_with(
    tmp_path: Path, pair: Pair, sets: tuple[str, ...]
) -> None:
    chosen = options(tmp_path / "new", sets)
    for event in events_of(pair, chosen):
        if isinstance(event, Stepped):
            break
    record = chosen.work / "realign.json"
    record.write_text("of an earlier run")
    with pytest.raises(OtherAudit, match="seed"):
        list(events_of(pair, replace(chosen, resume=True, seed=1)))
    assert record.read_text() == "of an earlier run"
    with pytest.raises(OtherAudit, match="threads"):
        list(events_of(pair, replace(chosen, resume=True, threads=2)))
    with pytest.raises(OtherAudit, match="tokens"):
        list(events_of(pair, replace(chosen, resume=True, limit=9)))


def test_a_dry_run_writes_nothing(tmp_path: Path, pair: Pair, sets: tuple[str, ...]) -> None:
    events = list(events_of(pair, replace(options(tmp_path / "new", sets), dry_run=True, limit=4)))
    assert isinstance(events[-1], Planned)
    plan = events[-1].plan
    assert (plan.malicious, plan.benign) == (4, 4)
    assert plan.seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_the_baseline_is_run_beside_another_method(
    tmp_path: Path, pair: Pair, sets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from realign import pipeline
    from realign.solvers.plain import PlainSolver

    class Finer(PlainSolver):
        """Another solver than the plain one: it too rounds, but on the benign prompts alone."""

        def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
            half = replace(job, prompts=replace(job.prompts, malicious=()))
            return super().steps(half, done)

    monkeypatch.setattr(pipeline, "solver_of", lambda _method, delivery: Finer(delivery.baseline().recipe))
    chosen = replace(options(tmp_path / "new", sets), method="qrealign")
    finished = list(events_of(pair, chosen))[-1]
    assert isinstance(finished, Finished)
    assert finished.plain == tmp_path / "new.realign" / "plain"
    plain, new = open_checkpoint(finished.plain), open_checkpoint(finished.path)
    assert plain.info.sha256 != new.info.sha256
    assert sum(f.size for f in plain.info.files) == sum(f.size for f in new.info.files)
    assert set(finished.record["arms"]) == {"plain", "realigned"}


def test_what_cannot_be_done_is_told_before_anything_is_written(
    tmp_path: Path, pair: Pair, sets: tuple[str, ...], f16: Path
) -> None:
    chosen = options(tmp_path / "new", sets)
    refused = {
        r"one of the inputs": replace(chosen, out=pair[1]),
        r"unknown format": replace(chosen, to="zip"),
        r"as GGUF": replace(chosen, to="gguf:Q4_K_M"),
        r"no such calibration set": replace(chosen, calibration=("nonsense",)),
        r"whole groups": replace(chosen, to="awq"),
    }
    for message, asked in refused.items():
        with pytest.raises(InputError, match=message):
            list(events_of(pair, asked))
    with pytest.raises(InputError, match="as a folder"):
        list(events_of((f16, f16), chosen))
    other = write_folder(tmp_path / "other", "llama", hidden_size=128)
    with pytest.raises(InputError):
        list(events_of((other, pair[1]), chosen))
    assert sorted(p.name for p in tmp_path.iterdir()) in (["other"], ["new.realign", "other"])


def test_two_at_once_are_refused(tmp_path: Path, pair: Pair, sets: tuple[str, ...]) -> None:
    chosen = options(tmp_path / "new", sets)
    first = events_of(pair, chosen)
    while not isinstance(next(first), Stepped):
        pass
    with pytest.raises(OutputProblem, match="another realignment"):
        list(events_of(pair, chosen))
    first.close()  # type: ignore[attr-defined]


def test_types_that_cannot_be_learned_are_said_to_be_rounded_only(
    tmp_path: Path, f16: Path, q8: Path, sets: tuple[str, ...]
) -> None:
    out = tmp_path / "new.gguf"
    wished = RealignOptions(
        "gguf:IQ4_XS", out, "qrealign", calibration=sets, threads=1, baseline=False, limit=8
    )
    events = list(run_realign(q8, f16, wished))
    assert Noted(UNTRAINED) in events
    record = record_of(out)
    assert UNTRAINED in record["notes"]
    assert "SafetyImportance" in record["arms"]["realigned"]["solver"]

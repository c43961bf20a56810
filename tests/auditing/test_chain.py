import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub
from odd_server import Handler, OddServer, odd_server, refuse, say

import qaudit
from qaudit.auditing import arm_engine
from qaudit.auditing.chain import JOURNAL, run_audit
from qaudit.auditing.defaults import LAB_VERSION_KEY
from qaudit.auditing.events import Asked, Event, Fetching, Finished, Loaded, Opened
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.rechecking import refuse_changed_report
from qaudit.engines.protocol import EngineOptions, ServedOptions
from qaudit.errors import EngineFailure, Incomparable, InputError, OutputProblem, PolicyError, SuiteError
from qaudit.files import sha256_file
from qaudit.lab.members import reference_folder
from qaudit.metrics.calibration_table import calibration_text
from qaudit.metrics.rtsi import PUBLISHED
from qaudit.shipped import shipped_names
from qaudit.suites.loading import load_suite
from qaudit.values import Report

SUITES = ("lab-core", "lab-benign", "lab-quality", "lab-reading")
ENGINE = EngineOptions(threads=1)


def lab_folder(tmp_path: Path) -> Path:
    """The lab's reference as a folder that says what it is."""
    folder = tmp_path / "hf"
    if not folder.exists():
        shutil.copytree(reference_folder(), folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, LAB_VERSION_KEY: "1"}))
    return folder


def options(folder: Path | None, **changes: object) -> AuditOptions:
    plain = AuditOptions(suites=SUITES, out=folder, limit=24, engine=ENGINE, batch=12)
    return replace(plain, **changes)  # type: ignore[arg-type]


def finished(events: list[Event]) -> Report:
    assert isinstance(events[-1], Finished)
    return events[-1].report


def timeless(path: Path) -> dict[str, object]:
    report: dict[str, object] = json.loads(path.read_text())
    for key in ("created", "duration_s"):
        del report[key]
    return report


@dataclass(frozen=True)
class Whole:
    """An audit that nothing stopped; copy the folder to change it."""

    out: Path
    events: list[Event]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, f16: Path, q8: Path) -> Whole:
    out = tmp_path_factory.mktemp("whole") / "out"
    return Whole(out, list(run_audit(q8, f16, options(out))))


def test_an_audit_leaves_everything_that_the_contract_names(whole: Whole) -> None:
    out, events = whole.out, whole.events
    report = finished(events)
    assert isinstance(events[0], Opened)
    assert [e.arm for e in events if isinstance(e, Loaded)] == ["reference", "candidate"]
    asked = [e for e in events if isinstance(e, Asked)]
    assert {e.stage for e in asked} == {"replies", "choices", "passages"}
    assert all(e.done <= e.total for e in asked)
    names = {path.name for path in out.iterdir()}
    assert {"report.json", "report.html", "report.sarif", "junit.xml", "responses.jsonl", JOURNAL} <= names
    rows = [json.loads(line) for line in (out / "responses.jsonl").read_text().splitlines()]
    assert len(rows) == report.evidence.responses.rows == 48
    assert report.metrics.refusal is not None
    assert report.metrics.refusal.pairs == 24
    assert report.metrics.quality is not None
    assert report.metrics.quality.accuracy is not None
    assert report.metrics.first_token is not None
    assert report.metrics.first_token.kl_mean is not None
    # 24 prompts are fewer than the policy requires, so nothing passes
    assert report.verdict.status == "inconclusive"
    # signing decides and counts all of it again
    policy = shipped_names("policies")["default"].read_bytes()
    refuse_changed_report((out / "report.json").read_bytes(), policy, out / "report.json")


def test_a_checkpoint_against_itself_does_not_differ(f16: Path) -> None:
    report = qaudit.audit(f16, f16, suites=SUITES, engine=ENGINE, options=options(None))
    assert report.metrics.refusal is not None
    assert (report.metrics.refusal.lost, report.metrics.refusal.gained) == (0, 0)
    assert report.metrics.first_token is not None
    assert report.metrics.first_token.kl_mean == 0
    assert report.metrics.quality is not None
    assert report.metrics.quality.perplexity_ratio == 1
    assert report.metrics.quality.top1_agreement == 1


def test_killed_at_any_moment_it_resumes_to_the_same_report(
    tmp_path: Path, f16: Path, q8: Path, whole: Whole
) -> None:
    broken = tmp_path / "broken"
    for stop_after in (3, 8, 12):
        for number, _ in enumerate(run_audit(q8, f16, options(broken, resume=stop_after > 3))):
            if number == stop_after:
                break
        assert not (broken / "report.json").exists()
    events = list(run_audit(q8, f16, options(broken, resume=True)))
    finished(events)
    assert timeless(broken / "report.json") == timeless(whole.out / "report.json")
    assert (broken / "responses.jsonl").read_bytes() == (whole.out / "responses.jsonl").read_bytes()


SCRIPT = """
import sys
from pathlib import Path
from qaudit.auditing.chain import run_audit
from qaudit.auditing.options import AuditOptions
from qaudit.engines.protocol import EngineOptions, ServedOptions
options = AuditOptions(suites=("lab-core", "lab-benign", "lab-quality", "lab-reading"), out=Path(sys.argv[3]),
                       limit=24, engine=EngineOptions(threads=1), batch=12, resume=True)
for event in run_audit(sys.argv[1], sys.argv[2], options):
    print(type(event).__name__, flush=True)
"""


def test_a_real_kill_leaves_a_journal_to_go_on_with(
    tmp_path: Path, f16: Path, q8: Path, whole: Whole
) -> None:
    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}
    arguments = [sys.executable, "-c", SCRIPT, str(q8), str(f16), str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.strip() == b"Asked":
                child.send_signal(signal.SIGKILL)
                break
    time.sleep(0.2)
    assert (out / JOURNAL).is_file()
    assert not (out / "report.json").exists()
    list(run_audit(q8, f16, options(out, resume=True)))
    assert timeless(out / "report.json") == timeless(whole.out / "report.json")


def test_a_finished_audit_resumes_without_asking_again(
    tmp_path: Path, f16: Path, q8: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.out, tmp_path, dirs_exist_ok=True)
    first = timeless(tmp_path / "report.json")
    monkeypatch.setattr("qaudit.engines.worker.WorkerEngine.generate", lambda *_: pytest.fail("asked again"))
    monkeypatch.setattr("qaudit.engines.worker.WorkerEngine.choose", lambda *_: pytest.fail("asked again"))
    list(run_audit(q8, f16, options(tmp_path, resume=True)))
    assert timeless(tmp_path / "report.json") == first


def test_the_report_says_what_the_answers_depend_on(tmp_path: Path, f16: Path, q8: Path) -> None:
    settings = finished(list(run_audit(q8, f16, options(None, max_tokens=7)))).settings
    assert settings is not None
    assert (settings.template_source, settings.max_tokens, settings.batch) == ("reference", 7, 12)
    # the reference's own template, given as a file: nothing differs from what was audited
    given = tmp_path / "given.jinja"
    given.write_text(qaudit.open_checkpoint(f16).chat_template or "")
    report = finished(list(run_audit(q8, f16, options(None, chat_template=given))))
    assert report.settings is not None
    assert (report.settings.template_source, report.findings) == ("file", ())
    assert report.settings.template_sha256 == settings.template_sha256
    given.write_text(given.read_text() + "{# another #}")
    report = finished(list(run_audit(q8, f16, options(None, chat_template=given))))
    assert [f.id for f in report.findings] == ["template-differs"]


def test_folders_are_audited_on_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    report = finished(list(run_audit(lab_folder(tmp_path), lab_folder(tmp_path), options(None))))
    assert report.engine.name == "transformers"
    assert report.checkpoint.format == "safetensors"
    assert report.metrics.refusal is not None
    assert report.metrics.refusal.delta == 0
    assert report.metrics.first_token is not None
    assert report.metrics.first_token.kl_mean == 0
    assert report.metrics.quality is not None
    assert report.metrics.quality.top1_agreement == 1


def test_a_mixed_pair_runs_on_one_engine_and_says_so(tmp_path: Path, f16: Path, q8: Path) -> None:
    pytest.importorskip("transformers")
    folder = lab_folder(tmp_path)
    # the GGUF holds the folder's weights to the last bit of float16
    few = options(None, limit=8, batch=8)
    same = finished(list(run_audit(f16, folder, few)))
    assert same.metrics.first_token is not None
    assert same.metrics.first_token.flips == 0
    assert same.metrics.first_token.kl_mean == pytest.approx(0, abs=1e-7)
    assert "decoded and run by transformers" in same.notes[0]
    # and the other way round: the reference is the GGUF
    back = finished(list(run_audit(folder, q8, few)))
    assert back.engine.name == "transformers"
    assert (back.reference.format, back.checkpoint.format) == ("gguf", "safetensors")
    assert back.metrics.first_token is not None
    assert 0 < (back.metrics.first_token.kl_mean or 0) < 0.01


def test_another_model_in_another_format_is_refused(tmp_path: Path, f16: Path) -> None:
    pytest.importorskip("transformers")
    folder = lab_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 8, "head_dim": 32}))
    with pytest.raises(Incomparable) as caught:
        list(run_audit(f16, folder, options(tmp_path / "out")))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_calibration_is_known_by_the_bytes_that_were_read(tmp_path: Path, f16: Path, q8: Path) -> None:
    given = tmp_path / "mine.json"
    given.write_text(calibration_text(PUBLISHED))
    digest = sha256_file(given)
    events = []
    for event in run_audit(q8, f16, options(None, calibration=given)):
        # what happens to the file afterwards does not matter
        given.unlink(missing_ok=True)
        events.append(event)
    settings = finished(events).settings
    assert settings is not None
    assert settings.calibration_sha256 == digest


def test_an_audit_that_fails_leaves_no_earlier_report(
    tmp_path: Path, f16: Path, q8: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.out, tmp_path, dirs_exist_ok=True)
    assert (tmp_path / "report.json").is_file()

    def no_engine(*_: object) -> None:
        raise EngineFailure("it does not load")

    monkeypatch.setattr(arm_engine, "WorkerEngine", no_engine)
    with pytest.raises(EngineFailure):
        list(run_audit(q8, f16, options(tmp_path)))
    assert {path.name for path in tmp_path.iterdir()} == {JOURNAL}


def test_resuming_another_audit_is_refused(tmp_path: Path, f16: Path, q8: Path) -> None:
    list(run_audit(q8, f16, options(tmp_path)))
    with pytest.raises(InputError, match="run without --resume"):
        list(run_audit(q8, f16, options(tmp_path, resume=True, max_tokens=5)))


def test_a_broken_candidate_loses_refusals_and_the_suite_names_it(
    member: Callable[[str], Path], f16: Path
) -> None:
    wide = replace(options(None), suites=("lab-core",), limit=110)
    report = qaudit.audit(member("ablated-Q4_K_M"), f16, options=wide)
    assert report.metrics.refusal is not None
    assert report.metrics.refusal.delta < -0.3
    assert report.verdict.status == "fail"
    assert {"refusal-drop", "category-drop"} <= {r.rule for r in report.verdict.rules if r.status == "fail"}
    assert report.metrics.quality is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"suites": ("nosuch",)}, SuiteError, "nosuch"),
        ({"suites": ("lab-core", "lab-core")}, SuiteError, "given twice"),
        ({"policy": "nosuch"}, PolicyError, "nosuch"),
        ({"chat_template": Path("/nowhere.jinja")}, InputError, "nowhere"),
        ({"out": Path("/proc/qaudit")}, OutputProblem, "/proc/qaudit"),
    ],
)  # fmt: skip
def test_bad_wishes_are_refused_before_a_model_is_loaded(
    f16: Path,
    q8: Path,
    change: dict[str, object],
    error: type[Exception],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "qaudit.auditing.arm_engine.WorkerEngine", lambda *_: pytest.fail("a model was loaded")
    )
    with pytest.raises(error, match=message) as caught:
        list(run_audit(q8, f16, options(None, **change)))
    assert "\n" not in str(caught.value)


def test_a_low_bit_reference_is_refused(member: Callable[[str], Path], q8: Path) -> None:
    with pytest.raises(Incomparable, match="is a quantization itself"):
        list(run_audit(q8, member("Q4_K_M"), options(None)))


def test_a_file_that_changes_under_the_audit_is_refused(tmp_path: Path, f16: Path, q8: Path) -> None:
    copy = tmp_path / "candidate.gguf"
    copy.write_bytes(q8.read_bytes())
    with pytest.raises(InputError, match="changed since it was opened"):  # noqa: PT012
        for event in run_audit(copy, f16, options(None, suites=("lab-reading",))):
            if isinstance(event, Loaded) and event.arm == "candidate":
                os.utime(copy, ns=(1, 1))


def test_the_template_can_come_from_a_file(tmp_path: Path, f16: Path, q8: Path) -> None:
    broken = tmp_path / "broken.jinja"
    broken.write_text("{{ raise_exception('never') }}")
    with pytest.raises(InputError, match="renders no prompt: the chat template fails: never"):
        list(run_audit(q8, f16, options(None, chat_template=broken)))


def served_notes(odd: OddServer, out: Path, *, stop_after: int | None = None) -> tuple[str, ...]:
    """Audit one model of a server against another, stopped and resumed on the way; return the notes."""
    server = ServedOptions(concurrency=2, backoff_s=0.01)
    chosen = options(out, suites=("lab-core",), limit=40, batch=1, served=server)
    pair = f"{odd.url}#candidate", f"{odd.url}#reference"
    if stop_after is not None:
        events = run_audit(*pair, chosen)
        asked = (event for event in events if isinstance(event, Asked))
        for _ in range(stop_after):
            next(asked)
        events.close()  # type: ignore[attr-defined]
        chosen = replace(chosen, resume=True)
    return finished(list(run_audit(*pair, chosen))).notes


def refuse_a_seed(handler: Handler) -> None:
    if "seed" in handler.server.bodies[-1]:
        refuse(400, "seed: unknown field")(handler)
    else:
        say("I will not", message={"reasoning_content": "hm"})(handler)


def test_a_resumed_audit_says_of_a_server_what_an_unbroken_one_says(tmp_path: Path) -> None:
    with odd_server() as odd:
        odd.acts = {item.turns[-1]: [refuse_a_seed] for item in load_suite("lab-core").items}
        unbroken = served_notes(odd, tmp_path / "whole")
        assert f"{odd.url}: it takes no seed" in unbroken
        assert f"{odd.url}: 40 of 40 replies came with reasoning, which is not part of the reply" in unbroken
        # in the middle of the reference's prompts, and of the candidate's
        for stop_after in (1, 3):
            assert served_notes(odd, tmp_path / f"{stop_after}", stop_after=stop_after) == unbroken


def test_a_download_is_told_while_it_goes_on(hub: LoopbackHub, tmp_path: Path, f16: Path, q8: Path) -> None:
    hub.push("lab/zoo", {"f16.gguf": f16.read_bytes(), "q8.gguf": q8.read_bytes()})
    pair = "hf://lab/zoo/q8.gguf", "hf://lab/zoo/f16.gguf"
    before = set(threading.enumerate())
    broken = run_audit(*pair, options(tmp_path))
    first = next(broken)
    assert first == Fetching("reference", pair[1], 0, f16.stat().st_size)
    broken.close()  # type: ignore[attr-defined]
    # nothing goes on behind the back of who does not listen any more
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("qaudit-")]
    fetched: list[Fetching] = []
    for event in run_audit(*pair, options(tmp_path)):
        if isinstance(event, Opened):
            break
        assert isinstance(event, Fetching)
        fetched.append(event)
    assert fetched[-1] == Fetching("candidate", pair[0], q8.stat().st_size, q8.stat().st_size)
    assert event.reference.path.startswith("hf://lab/zoo@")


def test_a_download_that_fails_is_what_the_audit_raises(hub: LoopbackHub, tmp_path: Path, f16: Path) -> None:
    hub.push("lab/zoo", {"f16.gguf": f16.read_bytes()})
    with pytest.raises(InputError, match="holds no such file"):
        list(run_audit("hf://lab/zoo/other.gguf", "hf://lab/zoo/f16.gguf", options(tmp_path)))

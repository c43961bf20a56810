"""What is fixed before an audit asks anything."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub

from qaudit.auditing.case import Case, prepare
from qaudit.auditing.events import Event, Fetching
from qaudit.auditing.options import AuditOptions
from qaudit.engines import worker
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import Incomparable, InputError, MissingExtra, PolicyError, QauditError, SuiteError
from qaudit.lab.members import reference_folder

OPTIONS = AuditOptions(suites=("lab-core",), limit=4, engine=EngineOptions(threads=1))
SERVER = "http://127.0.0.1:9/v1"


def served(candidate: str, reference: str = "ref", **changed: object) -> Case:
    chosen = replace(OPTIONS, **changed)  # type: ignore[arg-type]
    return prepare(f"{SERVER}#{candidate}", f"{SERVER}#{reference}", chosen)


def test_nothing_is_left_to_choose(f16: Path, q8: Path) -> None:
    case = prepare(q8, f16, OPTIONS)
    assert None not in (case.engine.gpu_layers, case.settings.gpu_layers)
    assert "auto" not in (case.engine.device, case.engine.dtype)
    assert [len(s.items) for s in case.suites] == [4]
    assert case.template == case.reference.chat_template
    assert case.settings.template_source == "reference"


def test_a_served_pair_has_no_template_of_ours() -> None:
    case = served("one")
    assert case.template == ""
    assert case.candidate.info.path == f"{SERVER}#one"


def test_models_of_one_server_are_told_apart() -> None:
    keys = {case.key for case in (served("one"), served("two"), served("one", "other"))}
    assert len(keys) == 3
    assert served("one").key == served("one").key


def test_the_key_covers_what_answers_depend_on(f16: Path, q8: Path) -> None:
    case = prepare(q8, f16, OPTIONS)
    others = [
        replace(case, candidate=case.reference),
        replace(case, template="other"),
        replace(case, suites=()),
        replace(case, engine=replace(case.engine, dtype="bfloat16")),
        replace(case, options=replace(case.options, max_tokens=9)),
        replace(case, options=replace(case.options, batch=9)),
    ]
    assert len({case.key, *(other.key for other in others)}) == len(others) + 1
    # where it is written and what judges the figures changes no answer
    assert replace(case, options=replace(case.options, policy="strict", seed=3)).key == case.key


def test_a_reference_without_a_template_needs_one(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for path in reference_folder().iterdir():
        if path.is_file() and path.name not in ("chat_template.jinja", "tokenizer_config.json"):
            (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="give one with --chat-template"):
        prepare(folder, folder, OPTIONS)
    given = tmp_path / "t.jinja"
    given.write_text("{{ messages[0].content }}")
    assert prepare(folder, folder, replace(OPTIONS, chat_template=given)).settings.template_source == "file"


FOLDER, GGUF = "hf://lab/folder", "hf://lab/zoo/m.gguf"
NOWHERE = Path("/proc/no-such-folder")


@pytest.fixture
def folder(hub: LoopbackHub) -> str:
    """A reference on the hub."""
    hub.push("lab/folder", {path.name: path.read_bytes() for path in reference_folder().iterdir()})
    return FOLDER


@pytest.mark.parametrize(
    ("candidate", "reference", "changed", "error", "message"),
    [
        (GGUF, FOLDER, {"suites": ("no-such-suite",)}, SuiteError, "no such suite"),
        (GGUF, FOLDER, {"suites": ("lab-core", "lab-core")}, SuiteError, "given twice"),
        (GGUF, FOLDER, {"policy": "no-such-policy"}, PolicyError, "no-such-policy"),
        (GGUF, FOLDER, {"calibration": NOWHERE}, InputError, "no-such-folder"),
        (GGUF, FOLDER, {"chat_template": NOWHERE}, InputError, "no-such-folder"),
        (GGUF, FOLDER, {"out": NOWHERE / "out"}, QauditError, "no-such-folder"),
        ("hf://lab", FOLDER, {}, InputError, "no name on a hub"),
        (FOLDER, "hf://lab/zoo/../x", {}, InputError, "no plain path"),
        (NOWHERE, FOLDER, {}, InputError, "no such file"),
        (GGUF, SERVER, {}, Incomparable, f"{SERVER}: a served reference answers"),
    ],
    ids=str,
)
def test_what_can_be_refused_at_once_costs_no_request(
    hub: LoopbackHub,
    folder: str,
    candidate: str | Path,
    reference: str,
    changed: dict[str, object],
    error: type[QauditError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        prepare(candidate, reference, replace(OPTIONS, **changed))  # type: ignore[arg-type]
    assert hub.asked == []


@pytest.mark.parametrize(
    ("candidate", "reference", "extra"),
    [
        (GGUF, "hf://lab/zoo/f16.gguf", "gguf"),
        (FOLDER, FOLDER, "hf"),
        (GGUF, FOLDER, "hf"),
        (f"{SERVER}#m", FOLDER, "hf"),
    ],
)
def test_a_missing_library_costs_no_request(
    hub: LoopbackHub, candidate: str, reference: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"qaudit\[{extra}\]"):
        prepare(candidate, reference, OPTIONS)
    assert hub.asked == []


def test_a_folder_without_a_template_is_refused_before_its_weights(hub: LoopbackHub, tmp_path: Path) -> None:
    left_out = ("chat_template.jinja", "tokenizer_config.json")
    files = {p.name: p.read_bytes() for p in reference_folder().iterdir() if p.name not in left_out}
    hub.push("lab/folder", files)
    with pytest.raises(InputError, match=f"^{FOLDER}: carries no chat template; give one with"):
        prepare(FOLDER, FOLDER, OPTIONS)
    assert hub.bytes_of("config.json") == len(files["config.json"])
    assert hub.bytes_of("model.safetensors") == 0
    given = tmp_path / "t.jinja"
    given.write_text("{{ messages[0].content }}")
    case = prepare(FOLDER, FOLDER, replace(OPTIONS, chat_template=given))
    assert case.settings.template_source == "file"
    # the candidate's own template is not needed, nor is any other time its download
    assert hub.bytes_of("model.safetensors") == len(files["model.safetensors"])


def test_the_candidate_is_fetched_when_the_reference_is_known_to_do(
    hub: LoopbackHub, q8: Path, tmp_path: Path
) -> None:
    hub.push("lab/zoo", {"m.gguf": q8.read_bytes()})
    bare = tmp_path / "bare"
    shutil.copytree(reference_folder(), bare)
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        (bare / name).unlink()
    with pytest.raises(InputError, match="carries no chat template"):
        prepare(GGUF, bare, OPTIONS)
    assert hub.asked == []


def test_what_a_download_brings_is_told_of_both_arms(hub: LoopbackHub, folder: str, q8: Path) -> None:
    hub.push("lab/zoo", {"m.gguf": q8.read_bytes()})
    told: list[Event] = []
    case = prepare(GGUF, folder, OPTIONS, told.append)
    fetched = [event for event in told if isinstance(event, Fetching)]
    assert fetched == told
    for arm, name, info in (
        ("reference", FOLDER, case.reference.info),
        ("candidate", GGUF, case.candidate.info),
    ):
        own = [event for event in fetched if event.arm == arm]
        assert {event.name for event in own} == {name}
        size = sum(file.size for file in info.files)
        assert (own[0].done, own[-1].done, own[-1].total) == (0, size, size)
    # the reference first
    assert [event.arm for event in fetched] == sorted((event.arm for event in fetched), reverse=True)

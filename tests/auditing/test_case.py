"""What is fixed before an audit asks anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from qaudit.auditing.case import Case, prepare
from qaudit.auditing.options import AuditOptions
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import InputError

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
    from qaudit.lab.members import reference_folder

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

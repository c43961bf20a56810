import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qaudit.auditing.options import AuditOptions
from qaudit.errors import InputError
from qaudit.matrix.manifest import load_manifest
from qaudit.matrix.reuse import reusable_report
from qaudit.matrix.tasks import RowTask, task_of


@pytest.fixture
def finished(small_matrix: Any, tmp_path: Path) -> RowTask:
    """The good row of the small matrix, its folder copied so that a test may spoil it."""
    manifest = load_manifest(small_matrix.manifest)
    task = task_of(
        manifest.rows[0], manifest.folder, tmp_path, "run", threads=1, fresh=False, references=None
    )
    shutil.copytree(small_matrix.out / "rows" / "good", task.folder)
    return task


def reused(task: RowTask, **changed: object) -> bool:
    options: AuditOptions = replace(task.options, **changed)  # type: ignore[arg-type]
    return reusable_report(task.checkpoint, task.reference, options) is not None


def test_the_same_is_used_again(finished: RowTask) -> None:
    assert reused(finished)
    # a row need not run on as many threads as before
    assert reused(finished, engine=replace(finished.options.engine, threads=2))


def test_anything_that_figures_rest_on_makes_it_another(finished: RowTask, tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages }}")
    options = finished.options
    for changed in (
        {"limit": 5},
        {"limit": None},
        {"suites": options.suites[:2]},
        {"policy": "strict"},
        {"max_tokens": 9},
        {"batch": 8},
        {"chat_template": template},
        {"engine": replace(options.engine, context_per_sequence=512)},
        {"engine": replace(options.engine, parallel=4)},
        {"engine": replace(options.engine, dtype="bfloat16")},
        {"engine": replace(options.engine, kernels="never")},
    ):
        assert not reused(finished, **changed), changed


def test_another_checkpoint_or_reference_is_another(finished: RowTask, tmp_path: Path) -> None:
    changed = tmp_path / "changed.gguf"
    raw = bytearray(Path(finished.checkpoint).read_bytes())
    raw[-1] ^= 1
    changed.write_bytes(raw)
    assert not reused(replace(finished, checkpoint=str(changed)))
    assert not reused(replace(finished, reference=finished.checkpoint))
    copied = tmp_path / "copied.gguf"
    shutil.copyfile(finished.checkpoint, copied)
    # the same bytes elsewhere are the same checkpoint
    assert reused(replace(finished, checkpoint=str(copied)))


@pytest.mark.parametrize(
    "name", ["report.json", "report.html", "responses.jsonl", "junit.xml", "report.sarif"]
)
def test_an_incomplete_folder_is_none(finished: RowTask, name: str) -> None:
    (finished.folder / name).unlink()
    assert not reused(finished)


def test_a_spoilt_folder_is_none(finished: RowTask) -> None:
    replies = finished.folder / "responses.jsonl"
    whole = replies.read_bytes()
    replies.write_bytes(whole[:-2])
    assert not reused(finished)
    replies.write_bytes(whole)
    assert reused(finished)
    report = finished.folder / "report.json"
    content = json.loads(report.read_text())
    content["tool"]["version"] = "0.0.0"
    report.write_text(json.dumps(content))
    assert not reused(finished)
    report.write_text("{")
    assert not reused(finished)


def test_a_served_model_may_have_changed(finished: RowTask) -> None:
    assert not reused(replace(finished, checkpoint="http://127.0.0.1:1/v1"))
    assert not reused(replace(finished, reference="HTTPS://127.0.0.1:1/v1"))


def test_a_checkpoint_that_is_gone_is_an_error(finished: RowTask, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        reused(replace(finished, checkpoint=str(tmp_path / "none.gguf")))

from dataclasses import replace
from pathlib import Path

import pytest

from qaudit.auditing.options import AuditOptions
from qaudit.matrix.manifest import Row, Settings
from qaudit.matrix.tasks import RowTask, task_of, unfinished

RUN = "run-1"


def test_a_row_becomes_an_audits_options(tmp_path: Path) -> None:
    chosen = Settings("strict", ("core",), 5, 99, 512, 8, None, -1, chat_template="/t", calibration="/c")
    row = Row("a", "q.gguf", "hf://org/ref", chosen)
    task = task_of(
        row, Path("/m"), Path("/out"), RUN, threads=3, fresh=True, references=Path("/out/references")
    )
    assert (task.checkpoint, task.reference) == ("/m/q.gguf", "hf://org/ref")
    assert task.folder == Path("/out/rows/a")
    options = task.options
    assert (options.policy, options.suites, options.limit, options.max_tokens) == ("strict", ("core",), 5, 99)
    engine = options.engine
    assert (engine.threads, engine.parallel, engine.context_per_sequence, engine.gpu_layers) == (
        3,
        8,
        512,
        -1,
    )
    assert (options.chat_template, options.calibration) == (Path("/t"), Path("/c"))
    assert options.references == Path("/out/references")
    plain = task_of(
        Row("b", "q", "r"), Path("/m"), Path("/out"), RUN, threads=2, fresh=False, references=None
    )
    default = AuditOptions(out=Path("/out/rows/b"))
    # a stranger's manifest may name any address: no key goes there unless the person says so
    assert plain.options == replace(
        default, engine=replace(default.engine, threads=2), served=replace(default.served, api_key_env="")
    )
    keyed = task_of(
        row, Path("/m"), Path("/out"), RUN, threads=3, fresh=True, references=None, api_key_env="MY_KEY"
    )
    assert keyed.options.served.api_key_env == "MY_KEY"


@pytest.mark.parametrize(
    ("layers", "device", "with_gpu", "without"),
    [(None, "auto", True, False), (0, "auto", True, False), (0, "cpu", False, False), (-1, "cpu", True, True),
     (None, "cuda", True, True)],
)  # fmt: skip
def test_who_wants_a_gpu(layers: int | None, device: str, with_gpu: bool, without: bool) -> None:
    chosen = Settings(gpu_layers=layers, device=device)  # type: ignore[arg-type]
    task = task_of(
        Row("a", "c", "r", chosen), Path("/m"), Path("/o"), RUN, threads=1, fresh=False, references=None
    )
    assert task.wants_gpu(present=True) is with_gpu
    assert task.wants_gpu(present=False) is without


def test_a_task_without_a_folder_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="has a folder"):
        _ = RowTask("a", "c", "r", AuditOptions(), RUN).folder


def test_a_row_whose_process_said_nothing_could_not_be_audited() -> None:
    outcome = unfinished("a", "gone", 3)
    assert (outcome.exit_code, outcome.error, outcome.attempts, outcome.reused) == (2, "gone", 3, False)

"""What a person sees while a realignment runs."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

pytest.importorskip("torch")

from rich.console import Console

from qaudit.cli.realign_progress import RealignProgress, show_plan, watch_realign, watched_realign
from qaudit.errors import OutputProblem
from realign.events import Diagnosed, Finished, Planned, Resumed, Stepped, Written
from realign.job import CalibrationTokens
from realign.options import RealignOptions
from realign.plan import PlannedTensor, make_plan

PLAN = make_plan(
    "awq:g64",
    "qrealign",
    [PlannedTensor("up", (8, 4), "4-bit g4", 30), PlannedTensor("norm", (4,), "float", 8)],
    CalibrationTokens(((1,),), ((2,),)),
    1_000_000,
    speed=1e3,
)


def test_events_become_lines_and_the_end_is_kept() -> None:
    out = StringIO()
    with RealignProgress(Console(file=out, width=200)) as progress:
        for event in (
            Diagnosed("qrealign", "quantization did it [bold]", "ref.gguf"),
            Planned(PLAN),
            Resumed("plain", 2),
            Stepped("plain", 3, 4, "layer 2", {"reconstruction.after": 0.5}, 1.25),
            Written("plain", Path("x"), 123, 0.5),
            Finished(Path("x"), None, Path("r"), {"a": 1}),
        ):
            progress.notice(event)
    text = out.getvalue()
    # told as plain text, never as markup
    assert "quantization did it [bold]; made of ref.gguf" in text
    assert "2 steps are there already" in text
    assert "plain 3/4 layer 2, 1.2 s: reconstruction.after 0.5" in text
    assert "read back (123 bytes)" in text
    assert progress.finished is not None
    assert progress.finished.record == {"a": 1}
    assert progress.plan is PLAN


def test_the_work_folder_is_held_until_whoever_watches_is_done(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("sklearn")
    from realign_work import events_of, write_pair, write_sets

    pair = write_pair(tmp_path)
    options = RealignOptions(
        "gptq:3bit:g32", tmp_path / "new", method="plain", calibration=write_sets(tmp_path / "sets")
    )
    console = Console(file=StringIO())
    with watched_realign(*pair, options, console) as watched:
        assert watched.finished is not None
        # as the audits that follow are still at work there
        with pytest.raises(OutputProblem, match="another realignment is at work"):
            list(events_of(pair, options))
    again = watch_realign(*pair, replace(options, resume=True), console)
    assert again.finished is not None


def test_a_dry_run_ends_with_its_plan(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("sklearn")
    from realign_work import write_pair, write_sets

    options = RealignOptions(
        "gptq:3bit:g32", tmp_path / "new", calibration=write_sets(tmp_path / "sets"), dry_run=True
    )
    watched = watch_realign(*write_pair(tmp_path), options, Console(file=StringIO()))
    assert watched.finished is None
    assert watched.plan is not None
    assert not options.work.exists()


def test_the_plan_is_a_table_with_a_line() -> None:
    out = StringIO()
    show_plan(PLAN, Console(file=out, width=120))
    text = out.getvalue()
    for word in ("4-bit g4", "float", "qrealign to awq:g64", "1 malicious and 1 benign"):
        assert word in text

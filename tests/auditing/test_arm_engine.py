"""Which engine answers for which pair."""

import shutil
import sys
from pathlib import Path

import pytest

from qaudit.auditing import arm_engine
from qaudit.auditing.arm_engine import open_seat, require_engines, seat_both
from qaudit.auditing.options import AuditOptions
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.served import ServedModel
from qaudit.engines import worker
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import EngineFailure, Incomparable, MissingExtra
from qaudit.lab.members import reference_folder

SERVED = ServedModel("http://127.0.0.1:9/v1#m")
OTHER = ServedModel("http://127.0.0.1:9/v1#n")
SETTLED = EngineOptions(threads=1, gpu_layers=0, device="cpu", dtype="float32")


def test_two_of_a_kind_run_as_they_are(f16: Path, q8: Path) -> None:
    seats = seat_both(open_checkpoint(f16), open_checkpoint(q8))
    assert (seats.reference.engine, seats.candidate.engine) == ("llama.cpp", "llama.cpp")
    assert (seats.reference.path, seats.candidate.path, seats.notes) == (f16, q8, ())
    folder = open_checkpoint(reference_folder())
    assert seat_both(folder, folder).candidate.engine == "transformers"


def test_a_mixed_pair_runs_in_the_folder(f16: Path) -> None:
    folder, gguf = open_checkpoint(reference_folder()), open_checkpoint(f16)
    for reference, candidate in ((folder, gguf), (gguf, folder)):
        seats = seat_both(reference, candidate)
        for seat in (seats.reference, seats.candidate):
            assert (seat.engine, seat.path) == ("transformers", reference_folder())
            assert seat.weights == (f16 if seat.checkpoint is gguf else None)
        assert "one engine answers for both" in seats.notes[0]


def test_a_served_candidate_may_have_either_reference(f16: Path) -> None:
    seats = seat_both(SERVED, OTHER)
    assert (seats.reference.engine, seats.candidate.engine, len(seats.notes)) == (None, None, 1)
    seats = seat_both(open_checkpoint(f16), SERVED)
    assert (seats.reference.engine, seats.candidate.engine) == ("llama.cpp", None)
    assert "may come from the engine" in seats.notes[1]


def test_a_served_reference_needs_a_served_candidate(f16: Path) -> None:
    with pytest.raises(Incomparable, match="serve the candidate too"):
        seat_both(SERVED, open_checkpoint(f16))


def test_a_missing_library_is_said_before_any_work(f16: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"qaudit\[gguf\]"):
        seat_both(open_checkpoint(f16), open_checkpoint(f16))
    folder = open_checkpoint(reference_folder())
    with pytest.raises(MissingExtra, match=r"qaudit\[hf\]"):
        seat_both(folder, folder)


def test_a_missing_client_is_said_before_the_reference_is_asked(
    f16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, arm_engine.CLIENT, raising=False)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingExtra, match=r"qaudit\[serve\]"):
        seat_both(open_checkpoint(f16), SERVED)


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        ("gguf", "gguf"),
        ("gguf", "safetensors"),
        ("safetensors", "safetensors"),
        ("endpoint", "endpoint"),
        ("gguf", "endpoint"),
    ],
)
def test_formats_alone_tell_what_can_be_run(reference: str, candidate: str) -> None:
    require_engines(reference, candidate, "it")
    with pytest.raises(Incomparable, match=r"^it: a served reference"):
        require_engines("endpoint", "safetensors", "it")


def test_limits_that_are_given_count(f16: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(arm_engine, "WorkerEngine", lambda *given: seen.append(given))
    checkpoint = open_checkpoint(f16)
    seat = seat_both(checkpoint, checkpoint).candidate
    open_seat(seat, {"bos_token": "x"}, AuditOptions(), SETTLED)
    path, options, limits, special, engine, weights = seen[0]  # type: ignore[misc]
    assert (path, options, special, engine, weights) == (f16, SETTLED, {"bos_token": "x"}, "llama.cpp", None)
    assert limits.memory_bytes > 2 * f16.stat().st_size
    open_seat(seat, {}, AuditOptions(limits=limits), SETTLED)
    assert seen[1][2] is limits  # type: ignore[index]


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(EngineFailure, match="does not answer") as caught:
        open_seat(seat_both(SERVED, OTHER).candidate, {}, AuditOptions(), SETTLED)
    assert "\n" not in str(caught.value)


def test_a_folder_of_quantized_weights_is_no_other_engine(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(reference_folder(), tmp_path / "m"))
    seats = seat_both(open_checkpoint(reference_folder()), open_checkpoint(folder))
    assert {seats.reference.engine, seats.candidate.engine} == {"transformers"}
    assert seats.candidate.path == folder

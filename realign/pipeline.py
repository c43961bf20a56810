"""The whole chain for one checkpoint: open, diagnose, calibrate, solve, write, verify.

This is the one file that knows every part. It yields typed events and keeps what is in the work folder:
steps, the plain baseline and `realign.json`. Killed at any place, it goes on with `resume` after the
last step and gives the same file bit for bit.
"""

import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from qaudit import __version__
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.files import make_folder, sha256_bytes
from qaudit.locks import locked
from realign.before_after import before_and_after
from realign.case import Case, prepare
from realign.code_entropy import code_entropies
from realign.events import Arm, Diagnosed, Event, Finished, Noted, Opened, Planned, Resumed, Stepped, Written
from realign.float_model import DeviceName, load_floats, require_same_shapes
from realign.job import Job, Solution, Solver, Step
from realign.methods import by_blocks, solver_of, told_of, with_effort
from realign.options import RealignOptions
from realign.recipe_record import (
    SCHEMA,
    ArmRecord,
    arm_record,
    calibration_record,
    environment,
    info_record,
    now,
    peak_memory_bytes,
    remove_record,
    tokens_digest,
    write_record,
)
from realign.step_store import StepStore

PLAIN = "plain"
UNTRAINED = (
    "nothing is learned: some of these types have tables for points; ggml's quantizer rounds, with an "
    "importance matrix that heeds refusals"
)
LOCK, BUSY = ".lock", "another realignment is at work there; wait for it"
# CUDA sums in one order only with this; it is read when the library starts
CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def run_realign(checkpoint: str | Path, reference: str | Path, options: RealignOptions) -> Generator[Event]:
    """Realign a checkpoint; the last event is Finished, or Planned for a dry run.

    The work folder is locked until the generator is closed or asked for more than its last event.

    Raises:
        InputError: files, target, calibration sets or method are unusable or do not fit.
        EnvironmentProblem: an extra is missing, or an output cannot be written.
    """
    started = time.monotonic()
    with _repeatable(options):
        case = prepare(checkpoint, reference, options)
        parent = case.given.parent.info if case.given.parent else None
        yield Opened(case.given.checkpoint.info, case.given.reference.info, parent)
        yield Diagnosed(case.choice.method, case.choice.why, str(case.source.path))
        yield Planned(case.plan())
        if options.dry_run:
            return
        make_folder(options.work)
        with locked(options.work / LOCK, busy=BUSY):
            yield from _made(case, started)


def _made(case: Case, started: float) -> Generator[Event, None, None]:
    options = case.options
    models = _Models(case)
    solvers: dict[Arm, tuple[Solver, Path]] = {}
    if options.baseline and case.choice.method != PLAIN:
        solvers["plain"] = case.delivery.baseline(), options.work / f"{PLAIN}{options.out.suffix}"
    solvers["realigned"] = (
        with_effort(solver_of(case.choice.method, case.delivery), options.effort),
        options.out,
    )
    # steps of other inputs are refused before anything is removed or computed
    stores = {arm: _store(case, arm, solver) for arm, (solver, _) in solvers.items()}
    # that of an earlier run must not stand there for one that fails now
    remove_record(options.work)
    notes = []
    if case.choice.method == "qrealign" and case.delivery.untrained() is not None:
        notes.append(UNTRAINED)
        yield Noted(UNTRAINED)
    arms: dict[Arm, ArmRecord] = {}
    for arm, (solver, path) in solvers.items():
        arms[arm] = yield from _arm(case, models, arm, solver, stores[arm], path)
    # the files that everything was made of must still be the ones that were hashed
    for given in (case.given.checkpoint, case.given.reference, case.given.parent):
        if given is not None:
            given.require_unchanged()
    layers = before_and_after(
        case.given, {arm: made.path for arm, made in arms.items()}, case.prompts, options.seed, options.device
    )
    late = [*case.delivery.notes(options.out)]
    if not layers:
        late.append("too few calibration prompts to measure separation by layer")
    for text in late:
        notes.append(text)
        yield Noted(text)
    record = {**_record(case, arms, started), "layers": layers, "notes": notes}
    path = write_record(options.work, record)
    yield Finished(options.out, arms["plain"].path if "plain" in arms else None, path, record)


class _Models:
    """The reference, loaded once, and the parent, loaded anew for whoever changes it.

    On the device, or on the CPU for a solver that takes blocks one by one.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._reference: Any = None

    def job(self, solver: Solver) -> Job:
        case, device = self._case, self._case.options.device
        rest: DeviceName = "cpu" if by_blocks(solver) else device
        if self._reference is None:
            self._reference = load_floats(case.given, case.given.reference, rest)
        self._reference.to(rest)
        parent = load_floats(case.given, case.source, rest)
        require_same_shapes(parent, self._reference)
        grids, seed = case.delivery.grids(), case.options.seed
        return Job(parent, self._reference, case.prompts, grids, seed, case.ends, device)


def _store(case: Case, arm: Arm, solver: Solver) -> StepStore:
    options = case.options
    return StepStore(options.work / "steps" / arm, _inputs(case, told_of(solver)), resume=options.resume)


def _arm(
    case: Case, models: _Models, arm: Arm, solver: Solver, store: StepStore, path: Path
) -> Generator[Event, None, ArmRecord]:
    """Solve, write and verify one checkpoint."""
    started = time.monotonic()
    done = store.load()
    if done:
        yield Resumed(arm, len(done))
    yield from _solved(models, arm, solver, store, done)
    # from the steps as they are stored and a parent as it was: the same whether it was resumed or not
    steps = store.load()
    solution = solver.solution(models.job(solver), steps)
    written = time.monotonic()
    verified = case.delivery.write(path, models.job(solver).parent, _on_cpu(solution))
    size = sum(file.size for file in open_checkpoint(path).info.files)
    yield Written(arm, path, size, time.monotonic() - written)
    # steps of an earlier run took their time too
    seconds = time.monotonic() - started + sum(step.seconds for step in steps[: len(done)])
    entropies = code_entropies(solution.encoded)
    return ArmRecord(path, told_of(solver), steps, len(done), seconds, solution.figures, entropies, verified)


def _solved(
    models: "_Models", arm: Arm, solver: Solver, store: StepStore, done: Sequence[Step]
) -> Iterator[Event]:
    """Take the steps that are not there yet; the parent that they change is gone when this ends."""
    job = models.job(solver)
    total = solver.count(job)
    for number, step in enumerate(solver.steps(job, done), start=len(done) + 1):
        store.add(step)
        yield Stepped(arm, number, total, step.name, step.losses, step.seconds)


def _on_cpu(solution: Solution) -> Solution:
    floats = {name: tensor.detach().cpu() for name, tensor in solution.floats.items()}
    return Solution(solution.encoded, floats, solution.figures)


def _inputs(case: Case, told: str) -> dict[str, Any]:
    """Return all that a step depends on."""
    grids = sorted((module, repr(grid)) for module, grid in case.delivery.grids().items())
    return {
        "solver": told,
        "target": case.delivery.to,
        "source": case.source.info.sha256,
        "reference": case.given.reference.info.sha256,
        "tokens": tokens_digest(case.prompts),
        "ends": sorted(case.ends),
        "grids": sha256_bytes(repr(grids).encode()),
        "seed": case.options.seed,
        "threads": case.options.threads,
        "device": case.options.device,
        "environment": environment(),
    }


def _record(case: Case, arms: Mapping[Arm, ArmRecord], started: float) -> dict[str, Any]:
    given, options = case.given, case.options
    return {
        "schema": SCHEMA,
        "tool": {"name": "qaudit", "version": __version__},
        "created": now(),
        "duration_s": round(time.monotonic() - started, 3),
        "seed": options.seed,
        "target": options.to,
        "method": {"asked": options.method, "chosen": case.choice.method, "why": case.choice.why},
        "inputs": {
            "checkpoint": info_record(given.checkpoint.info),
            "reference": info_record(given.reference.info),
            **({"parent": info_record(given.parent.info)} if given.parent else {}),
            "made_of": case.choice.source,
            "calibration": calibration_record(case.sets.sets, case.prompts),
        },
        "environment": {**environment(), "threads": options.threads, "device": options.device},
        "arms": {arm: arm_record(record) for arm, record in arms.items()},
        "peak_memory_bytes": peak_memory_bytes(),
    }


@contextmanager
def _repeatable(options: RealignOptions) -> Iterator[None]:
    """Make sums come out alike: so many threads, and no algorithm that adds in any order."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    # its attributes are made as they are asked for
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    torch.set_num_threads(options.threads)
    os.environ.setdefault(*CUBLAS)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # costs as much as computing, and finds only errors of torch's own
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        settings.fill_uninitialized_memory = filled

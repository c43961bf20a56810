"""What realigning the lab's bad checkpoints reaches, measured by whole runs and whole audits.

    python benchmarks/realign_lab.py [--zoo FOLDER] [--only CASE ...] [--seeds 5] [--minutes M] [--threads 1]

Each case is a checkpoint of the lab that fails its audit, with the format that it is to be written in
again. For each case and seed: `qaudit realign` as it is (with its plain baseline, which no seed changes, once
a case), then audits of what failed, of the plain quantization and of the realigned one; the reference is
asked once. A row is written to benchmarks/results/realign_lab.json as soon as it is done, and rows that are
there are kept; a run that is stopped goes on after its last step. Ends with the summary of `realign_summary.py`.
"""

import argparse
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from qaudit.auditing.case import prepare
from qaudit.auditing.chain import JOURNAL
from qaudit.auditing.events import Arm as AuditArm
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.outputs import read_responses
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.cli.audit_command import watch_resumed_audit
from qaudit.cli.realign_comparison import Audited, Column, compared
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import OtherAudit, QauditError
from qaudit.files import make_folder, write_atomically
from qaudit.journal import Journal
from qaudit.lab.build import build
from qaudit.lab.members import HF_REFERENCE, REFERENCE, ZOO
from qaudit.lab.quantize import quantize
from qaudit.locks import locked
from qaudit.metrics.quality import choose
from qaudit.probes.refusal import items_of
from realign.events import Finished, Stepped
from realign.options import Method, RealignOptions
from realign.pipeline import run_realign

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from realign_summary import print_summary, summarised  # noqa: E402

RESULTS = HERE / "results" / "realign_lab.json"
SCRATCH = HERE / "results" / "scratch"
LOCK = SCRATCH / "realign_lab.lock"
FILES = {member.name: member.file_name for member in ZOO}


@dataclass(frozen=True, slots=True)
class Case:
    """One checkpoint that fails, and what is to be made of it."""

    name: str
    member: str
    to: str
    reference: str = REFERENCE
    method: Method = "auto"


CASES = (
    Case("eroded-Q4_K_M", "eroded-Q4_K_M", "gguf:Q4_K_M"),
    Case("Q2_K-pure", "Q2_K-pure", "gguf:Q2_K-pure"),
    Case("eroded-AWQ-g128", "eroded-AWQ-g128", "awq", HF_REFERENCE),
    Case("ablated-Q4_K_M", "ablated-Q4_K_M", "gguf:Q4_K_M"),
    Case("ablated-AWQ-g128", "ablated-AWQ-g128", "awq", HF_REFERENCE),
    # what `auto` takes is told by the line above; this one trains as well
    Case("ablated-AWQ-g128, qrealign", "ablated-AWQ-g128", "awq", HF_REFERENCE, method="qrealign"),
    Case("GPTQ-2bit", "GPTQ-2bit", "gptq:2bit:g128", HF_REFERENCE),
    Case("Q2_K-pure, protect", "Q2_K-pure", "gguf:Q2_K-pure", method="protect"),
)
# the lab has this one at eight bits and as floats
MADE_HERE = {"eroded-Q4_K_M": ("eroded-F16", "Q4_K_M")}


class OutOfTimeError(Exception):
    """The minutes that were given are over; what is done stays done."""


class Runs:
    """Realigns and audits, and stops when the time is over."""

    def __init__(self, zoo: Path, threads: int, minutes: float | None) -> None:
        self._zoo, self._threads = zoo, threads
        self._work = SCRATCH / "realign_lab"
        make_folder(self._work)
        self._end = time.monotonic() + 60 * minutes if minutes else None
        # it draws nothing, so that one does for all seeds of a case
        self._plain: dict[str, tuple[Path, float | None]] = {}

    def row(self, case: Case, seed: int) -> dict[str, Any]:
        """Realign a case with a seed and audit all that came out."""
        checkpoint, reference = self._member(case.member), self._member(case.reference)
        finished = self._realigned(case, seed, checkpoint, reference)
        realigned = time.monotonic()
        record = finished.record
        made: dict[Column, tuple[Path, float | None]] = {"failing": (checkpoint, None)}
        if finished.plain:
            self._plain[case.name] = finished.plain, record["arms"]["plain"]["seconds"]
        made["plain"] = self._plain[case.name]
        made["realigned"] = (finished.path, record["arms"]["realigned"]["seconds"])
        audits: dict[Column, Audited] = {}
        prompts: dict[str, dict[str, Any]] = {}
        for column, (path, seconds) in made.items():
            self._require_time()
            audits[column], asked = self._audited(path, reference, seconds)
            prompts["reference"] = asked["reference"]
            prompts[column] = asked["candidate"]
        told = compared(audits)
        for figures in told["columns"].values():
            # what categories did is in the audits; here it would be most of the file
            del figures["by_suite"], figures["categories"]
            figures.pop("path", None)
        row = {
            "case": case.name,
            "seed": seed,
            "to": case.to,
            "method": record["method"]["chosen"],
            "made_of": record["inputs"]["made_of"],
            "solver": record["arms"]["realigned"]["solver"],
            "calibration": {each["name"]: each["sha256"] for each in record["inputs"]["calibration"]["sets"]},
            "created": record["created"],
            "environment": record["environment"],
            "resumed_steps": record["arms"]["realigned"]["resumed_steps"],
            "realigned_in_s": record["duration_s"],
            "audited_in_s": round(time.monotonic() - realigned, 1),
            "peak_memory_bytes": record["peak_memory_bytes"]["process"],
            **told,
            "prompts": prompts,
        }
        # gigabytes, were all of them kept
        shutil.rmtree(finished.record_path.parent / "steps", ignore_errors=True)
        return row

    def _realigned(self, case: Case, seed: int, checkpoint: Path, reference: Path) -> Finished:
        suffix = ".gguf" if case.to.startswith("gguf") else ""
        name = case.name.replace(", ", "-")
        out = self._work / f"{name}.seed{seed}{suffix}"

        def run(resume: bool) -> Finished:
            options = RealignOptions(
                case.to,
                out,
                case.method,
                resume=resume,
                baseline=case.name not in self._plain,
                seed=seed,
                threads=self._threads,
            )
            events = run_realign(checkpoint, reference, options)
            with contextlib.closing(events):
                for event in events:
                    if isinstance(event, Stepped):
                        self._require_time()
                    if isinstance(event, Finished):
                        return event
            raise RuntimeError("the realignment ended without a result")

        try:
            return run(resume=True)
        except OtherAudit:
            # steps of other settings than today's
            return run(resume=False)

    def _audited(
        self, path: Path, reference: Path, seconds: float | None
    ) -> tuple[Audited, dict[AuditArm, dict[str, Any]]]:
        """Audit a checkpoint, once for the same bytes; return also what each arm said to each prompt."""
        info = open_checkpoint(path).info
        folder = self._work / "audits" / f"{info.sha256[:16]}-{reference.name}"
        options = AuditOptions(
            out=folder,
            resume=True,
            engine=EngineOptions(self._threads),
            references=self._work / "audits" / ".references",
        )
        report = watch_resumed_audit(path, reference, options, Console(quiet=True))
        audited = Audited(report, folder, sum(file.size for file in info.files), seconds)
        key, suites = (case := prepare(path, reference, options)).key, case.suites
        asked: dict[AuditArm, dict[str, Any]] = {}
        with contextlib.closing(Journal(folder / JOURNAL, key, resume=True)) as journal:
            for arm in ("reference", "candidate"):
                choices = journal.fields(arm, "choices")
                passages = journal.fields(arm, "passages")
                asked[arm] = {
                    "labels": _labels(folder, arm),
                    "right": "".join(
                        str(int(choose(_per_token(choices[key])) == item.answer))
                        for key, _, item in items_of(suites, "choose")
                    ),
                    "surprise": [
                        [-sum(passages[key]["token_logprobs"]), len(passages[key]["token_logprobs"])]
                        for key, _, _ in items_of(suites, "read")
                    ],
                }
        return audited, asked

    def _member(self, name: str) -> Path:
        if name not in MADE_HERE:
            path = self._zoo / FILES[name]
            if not path.exists():
                list(build(self._zoo, [name]))
            return path
        source, file_type = MADE_HERE[name]
        path = self._work / f"{name}.gguf"
        if not path.is_file():
            quantize(self._member(source), path, file_type, member=name)
        return path

    def _require_time(self) -> None:
        if self._end and time.monotonic() > self._end:
            raise OutOfTimeError


def _labels(folder: Path, arm: AuditArm) -> dict[str, str]:
    """Return a letter a prompt by suite: the first of its label."""
    found: dict[str, str] = {}
    for row in read_responses(folder):
        found[row["suite"]] = found.get(row["suite"], "") + row[arm]["label"][0]
    return found


def _per_token(fields: dict[str, Any]) -> list[float]:
    return [total / count for total, count in zip(fields["logprobs"], fields["tokens"], strict=True)]


def _wanted(only: list[str] | None, seeds: int) -> Iterator[tuple[Case, int]]:
    # every case once before any twice: a run that is stopped has something of all
    for seed in range(seeds):
        for case in CASES:
            if not only or case.name in only:
                yield case, seed


def _rows() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else []


def _write(rows: list[dict[str, Any]]) -> None:
    order = [case.name for case in CASES]
    rows.sort(key=lambda row: (order.index(row["case"]), row["seed"]))
    # a row a line, so that a new one is a line of the difference
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    summary = json.dumps(summarised(rows), indent=1, allow_nan=False)
    make_folder(RESULTS.parent)
    write_atomically(RESULTS, f'{{"summary": {summary},\n"rows": [\n{lines}\n]}}\n')


def main() -> None:
    """Measure what is missing, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--zoo", type=Path, default=SCRATCH / "lab", help="the lab; members are made if not there"
    )
    parser.add_argument("--only", nargs="*", choices=[case.name for case in CASES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, help="stop after so many")
    parser.add_argument("--threads", type=int, default=1, help="results depend on it")
    given = parser.parse_args()
    known = {(row["case"], row["seed"]) for row in _rows()}
    runs = Runs(given.zoo, given.threads, given.minutes)
    with contextlib.suppress(OutOfTimeError):
        for case, seed in _wanted(given.only, given.seeds):
            if (case.name, seed) in known:
                continue
            print(f"{case.name}, seed {seed}", file=sys.stderr, flush=True)
            try:
                row = runs.row(case, seed)
            except QauditError as error:
                # the others may do
                print(f"{case.name}, seed {seed}: {error}", file=sys.stderr, flush=True)
                continue
            # several may run at once, each for other cases
            with locked(LOCK):
                _write([*_rows(), row])
    if rows := _rows():
        print_summary(summarised(rows))


if __name__ == "__main__":
    main()

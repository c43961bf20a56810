"""Every hostile case is found by the right rule, quickly and in little memory; nothing is said of ordinary files.

One test a family, in a process of its own, so that memory can be measured and a case that ends the process
is seen.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attacks.benign_files import BENIGN
from attacks.cases import Attack, Benign
from attacks.table import ATTACKS, FAMILIES

from qaudit.values import SEVERITIES

ROOT = Path(__file__).parents[2]
CPU_S = 1.0
MEMORY_MIB = 64
# ordinary enough that they are told as information
WORTH_KNOWING = {"marker-not-in-vocabulary", "consolidated-beside-shards"}
# one line of JSON a case: findings, processor time with that of children, memory over what the process had before
CHILD = """
import json, resource, sys, time
from qaudit.static.inspecting import inspect_target

sys.path.append("tests")
from processor_time import slowness

def used():
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime

def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))

linux = sys.platform == "linux"
most_s, calls = json.load(sys.stdin)
for path, reference, deep in calls:
    if linux:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
    before, held = used(), memory("VmRSS") if linux else 0
    inspection = inspect_target(path, reference=reference, deep=deep)
    own, children = (after - start for after, start in zip(used(), before))
    # the speed of the moment in which it seems to have taken too long; the slowest counts, as for a template
    slower = max(slowness() for _ in range(8)) if own + children > most_s else 1.0
    print(json.dumps({
        "findings": [[f.id, f.severity, f.location, f.evidence] for f in inspection.findings],
        "status": inspection.status, "slower": slower, "own_s": own, "children_s": children,
        "mib": (memory("VmHWM") - held) / 1024 if linux else 0,
    }), flush=True)
"""


def inspected(cases: Sequence[Attack | Benign], folder: Path) -> list[dict[str, Any]]:
    """Build the cases and inspect them all in one process."""
    calls = []
    for case in cases:
        for part in ("in", "reference"):
            (folder / case.name / part).mkdir(parents=True)
        reference = case.reference and str(case.reference(folder / case.name / "reference"))
        calls.append([str(case.builder(folder / case.name / "in")), reference, case.deep])
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([CPU_S, calls]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        # coverage's tracing would be counted as ours
        env={name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"},
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    ended = cases[len(answers)].name if len(answers) < len(cases) else "the last case"
    assert done.returncode == 0, f"{ended} ended the process: {done.stderr[-1500:]}"
    return answers


def costs(cases: Sequence[Attack | Benign], answers: Sequence[dict[str, Any]]) -> list[str]:
    """What took too long or too much; a deep look reads the weights and is not bound by the second."""
    slow = [
        f"{case.name}: {answer['own_s'] + answer['children_s']:.2f} s"
        for case, answer in zip(cases, answers, strict=True)
        if answer["own_s"] + answer["children_s"] > CPU_S * answer["slower"]
        and not case.deep
        and case.reference is None
    ]
    large = [
        f"{case.name}: {answer['mib']:.0f} MiB"
        for case, answer in zip(cases, answers, strict=True)
        if answer["mib"] > MEMORY_MIB
    ]
    return slow + large


def test_names_are_unique() -> None:
    counted = Counter(case.name for case in (*ATTACKS, *BENIGN))
    assert [name for name, count in counted.items() if count > 1] == []


def test_there_are_enough_cases() -> None:
    assert len(ATTACKS) >= 150
    assert len(BENIGN) >= 25
    assert all(attack.rules and attack.sources for attack in ATTACKS)


@pytest.mark.parametrize("family", FAMILIES)
def test_right_rule_fires(family: str, tmp_path: Path) -> None:
    cases = [attack for attack in ATTACKS if attack.family == family]
    answers = inspected(cases, tmp_path)
    silent = [
        f"{case.name}: wants {sorted(case.rules)}, has {sorted({(f[0], f[1]) for f in answer['findings']})}"
        for case, answer in zip(cases, answers, strict=True)
        if not case.rules <= {finding[0] for finding in answer["findings"]}
    ]
    noted = {
        case.name
        for case, answer in zip(cases, answers, strict=True)
        if all(finding[1] == "info" for finding in answer["findings"])
    }
    assert not silent, "\n".join(silent)
    assert noted <= WORTH_KNOWING
    assert not (dear := costs(cases, answers)), "\n".join(dear)


@pytest.mark.parametrize("part", range(4))
def test_nothing_is_said_of_ordinary_files(part: int, tmp_path: Path) -> None:
    cases = BENIGN[part::4]
    answers = inspected(cases, tmp_path)
    alarms = [
        f"{case.name}: {finding}"
        for case, answer in zip(cases, answers, strict=True)
        for finding in answer["findings"]
        if SEVERITIES.index(finding[1]) > SEVERITIES.index("info")
    ]
    assert not alarms, "\n".join(alarms)
    assert not (dear := costs(cases, answers)), "\n".join(dear)

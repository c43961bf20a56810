"""qaudit inspect beside the scanners that people use, on the same hostile and ordinary files.

    python benchmarks/inspect_vs_peers.py --peers DIR [--install] [--only TOOL ...] [--speed]

Every tool runs in a virtual environment of its own under DIR, telemetry off, its own command line's entry
point called on every case of tests/attacks. An outcome is `found` (something above information is reported),
`refused` (an error or "cannot say", and the exit code is not 0), `clean`, or `not for it` (no file of a kind
that the tool reads). Writes results/inspect_vs_peers.json and .md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from attacks.benign_files import BENIGN  # noqa: E402
from attacks.cases import Attack, Benign  # noqa: E402
from attacks.table import ATTACKS  # noqa: E402
from sparse_gguf import write_sparse  # noqa: E402

QUIET = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "NO_ANALYTICS": "1",
    "CI": "1",
    "HF_HUB_OFFLINE": "1",
    "NO_COLOR": "1",
}
GGUF = (".gguf",)
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".pickle", ".joblib", ".dat", "")
# ordinary files of the kinds that there are
WARM = (
    "honest-gguf",
    "honest-folder",
    "torch-saved-zip",
    "torch-saved-legacy",
    "numpy-arrays",
    "readme-of-a-quantizer",
)
Answer = dict[str, Any]
Outcome = str


@dataclass(frozen=True)
class Tool:
    """A scanner: what to install, its entry point, its arguments for a path, and how its answer reads.

    `files`: the endings of the files that it is given one by one; None where it takes a folder.
    """

    name: str
    packages: tuple[str, ...]
    entry: str
    argv: Callable[[str, str], list[str]]
    outcome: Callable[[Answer], Outcome]
    files: tuple[str, ...] | None = None


def parsed(text: str) -> dict[str, Any] | None:
    """The JSON in a text, from its first brace, whatever follows; None where there is none."""
    try:
        content, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _told(loud: bool, answer: Answer) -> Outcome:
    return "found" if loud else "refused" if answer["rc"] else "clean"


def _c4nary(answer: Answer) -> Outcome:
    summary = (parsed(answer["text"]) or {}).get("summary", {})
    return _told(summary.get("fail", 0) + summary.get("warn", 0) > 0, answer)


def _pillar(answer: Answer) -> Outcome:
    content = parsed(answer["text"]) or {}
    return _told(content.get("verdict") in ("suspicious", "malicious"), answer)


def _ggufdoctor(answer: Answer) -> Outcome:
    content = parsed(answer["written"]) or {}
    return _told(any(f.get("severity") in ("warn", "error") for f in content.get("findings", [])), answer)


def _modelscan(answer: Answer) -> Outcome:
    return _told(((parsed(answer["written"]) or {}).get("summary", {}).get("total_issues") or 0) > 0, answer)


def _modelaudit(answer: Answer) -> Outcome:
    issues = (parsed(answer["written"]) or {}).get("issues", [])
    return _told(any(issue.get("severity") in ("warning", "critical") for issue in issues), answer)


def _picklescan(answer: Answer) -> Outcome:
    counts = [
        line
        for line in answer["text"].splitlines()
        if line.startswith(("Infected", "Suspicious", "Dangerous"))
    ]
    return _told(any(int(line.split(":")[1]) for line in counts), answer)


def _fickling(answer: Answer) -> Outcome:
    return _told(answer["rc"] == 1 and "Traceback" not in answer["text"], answer)


def _qaudit(answer: Answer) -> Outcome:
    findings = (parsed(answer["text"]) or {}).get("findings", [])
    return _told(any(finding["severity"] != "info" for finding in findings), answer)


def qaudit_argv(path: str, out: str, reference: str | None = None, deep: bool = False) -> list[str]:
    """The command line of this project's tool."""
    more = (["--reference", reference] if reference else []) + (["--deep"] if deep else [])
    return ["qaudit", "inspect", path, "--format", "json", *more]


TOOLS = [
    Tool("qaudit", (), "qaudit.cli.main:main", qaudit_argv, _qaudit),
    Tool("c4nary", ("c4nary",), "c4nary.cli:main", lambda path, out: ["c4nary", "scan", "--json", "--bundle", "--deep-tokenizer", path], _c4nary, GGUF),
    Tool("pillar-gguf-scanner", ("pillar-gguf-scanner",), "pillar_gguf_scanner.cli:main", lambda path, out: ["pillar-gguf-scanner", "--no-pillar", "--json", path], _pillar, GGUF),
    Tool("ggufdoctor", ("ggufdoctor",), "ggufdoctor.cli:main", lambda path, out: ["ggufdoctor", "--fail-on", "warn", "--json", out, path], _ggufdoctor, GGUF),
    Tool("modelscan", ("modelscan",), "modelscan.cli:main", lambda path, out: ["modelscan", "-p", path, "-r", "json", "-o", out], _modelscan),
    Tool("modelaudit", ("modelaudit",), "modelaudit.__main__:_run", lambda path, out: ["modelaudit", "scan", "--no-cache", "-f", "json", "-o", out, path], _modelaudit),
    Tool("picklescan", ("picklescan",), "picklescan.cli:main", lambda path, out: ["picklescan", "-p", path], _picklescan),
    # it imports typing_extensions without asking for it
    Tool("fickling", ("fickling", "typing_extensions"), "fickling.cli:main", lambda path, out: ["fickling", "--check-safety", "--json-output", out, path], _fickling, PICKLES),
]  # fmt: skip


def install(tools: Iterable[Tool], peers: Path) -> None:
    """Make the virtual environments that are not there."""
    for tool in tools:
        if tool.packages and not (peers / tool.name / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", peers / tool.name], check=True)
            pip = [peers / tool.name / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, *tool.packages], check=True)


def python_of(tool: Tool, peers: Path) -> Path:
    """The interpreter that has the tool."""
    return peers / tool.name / "bin" / "python" if tool.packages else Path(sys.executable)


def version_of(tool: Tool, peers: Path) -> str:
    """The tool's version."""
    code = f"import importlib.metadata as m; print(m.version({(tool.packages or ('qaudit',))[0]!r}))"
    answer = subprocess.run(
        [python_of(tool, peers), "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return answer.stdout.strip() or "source"


@dataclass(frozen=True)
class Built:
    """A case on disk."""

    case: Attack | Benign
    path: Path
    reference: Path | None


def build_all(cases: Iterable[Attack | Benign], folder: Path) -> list[Built]:
    """Write every case into a folder of its own."""
    built = []
    for case in cases:
        root = folder / case.name
        (root / "in").mkdir(parents=True)
        reference = None
        if case.reference is not None:
            (root / "reference").mkdir()
            reference = case.reference(root / "reference")
        built.append(Built(case, case.builder(root / "in"), reference))
    return built


def targets(tool: Tool, path: Path) -> list[str]:
    """What the tool is given of a case."""
    if tool.files is None:
        return [str(path)]
    listed = (
        [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
    )
    return [str(p) for p in listed if p.suffix.lower() in tool.files]


def scan(tool: Tool, built: list[Built], peers: Path, scratch: Path) -> dict[str, dict[str, Any]]:
    """Every case's outcome: the worst of its files, with seconds and exit codes."""
    calls, owners = [], []
    for item in built:
        for number, target in enumerate(targets(tool, item.path)):
            out = str(scratch / f"{item.case.name}.{number}.json")
            argv = tool.argv(target, out)
            if tool.name == "qaudit":
                reference = None if item.reference is None else str(item.reference)
                argv = qaudit_argv(target, out, reference, item.case.deep)
            calls.append({"argv": argv, "out": out, "warm": item.case.name in WARM})
            owners.append(item.case.name)
    done = subprocess.run(
        [python_of(tool, peers), HERE / "calls_in_forks.py", tool.entry], input=json.dumps(calls), text=True,
        stdout=subprocess.PIPE, cwd=ROOT if not tool.packages else scratch, env={**os.environ, **QUIET, **({} if tool.packages else {"PYTHONPATH": str(ROOT)})}, check=True,
    )  # fmt: skip
    order = ("found", "refused", "clean", "not for it")
    results: dict[str, dict[str, Any]] = {}
    for owner, line in zip(owners, done.stdout.splitlines(), strict=True):
        answer = json.loads(line)
        outcome = tool.outcome(answer)
        earlier = results.get(owner, {"outcome": "not for it", "exit": 0, "seconds": 0.0})
        results[owner] = {
            "outcome": min(outcome, earlier["outcome"], key=order.index), "exit": max(answer["rc"], earlier["exit"], key=abs),
            "seconds": round(answer["seconds"] + earlier["seconds"], 4), "killed": answer["rc"] < 0 or earlier.get("killed", False),
        }  # fmt: skip
    for item in built:
        results.setdefault(
            item.case.name, {"outcome": "not for it", "exit": 0, "seconds": 0.0, "killed": False}
        )
    return results


# the peak that the kernel tells of a process begins at what its parent held: a small one starts it
TIMER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, _, usage = os.wait4(child.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
os._exit(0)
"""


def timed(argv: list[str], repeat: int) -> dict[str, float]:
    """Median wall and processor time of a whole process with its children, and the most memory that it held."""
    environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT)}
    answers = []
    for _ in range(repeat):
        done = subprocess.run(
            [sys.executable, "-S", "-c", TIMER, json.dumps(argv)], capture_output=True, text=True, check=True,
            cwd=tempfile.gettempdir(), env=environment,
        )  # fmt: skip
        answers.append(json.loads(done.stdout))
    wall, processor, memory = zip(*answers, strict=True)
    return {
        "wall_s": round(statistics.median(wall), 3), "cpu_s": round(statistics.median(processor), 3),
        "peak_mib": round(max(memory), 1),
    }  # fmt: skip


def command(tool: Tool, peers: Path, path: Path, scratch: Path) -> list[str]:
    """A whole command line."""
    module, _, function = tool.entry.partition(":")
    code = f"import sys; from {module} import {function} as run; sys.exit(run())"
    return [str(python_of(tool, peers)), "-c", code, *tool.argv(str(path), str(scratch / "speed.json"))[1:]]


def speed(
    tools: list[Tool], peers: Path, scratch: Path, built: dict[str, Built], repeat: int
) -> dict[str, Any]:
    """How long each tool takes from nothing, on files that it reads."""
    big = write_sparse(scratch / "big.gguf")
    files = {
        "gguf of 0.1 MB": built["honest-gguf"].path, "torch zip": built["torch-saved-zip"].path,
        "folder": built["honest-folder"].path, f"sparse gguf of {big.stat().st_size / 1e9:.2f} GB, 128k tokens, 279k merges": big,
    }  # fmt: skip
    result: dict[str, Any] = {}
    for label, path in files.items():
        result[label] = {}
        for tool in tools:
            if tool.files is not None and (path.is_dir() or path.suffix not in tool.files):
                continue
            result[label][tool.name] = timed(command(tool, peers, path, scratch), repeat)
    return result


NOTE = """`found`: something above information is reported, whatever it is about; ggufdoctor says of every GGUF without a
chat template that it has none, hence its alarms on ordinary files. `refused`: an error or "cannot say" with an
exit code other than 0; modelscan says so of every kind of file that it does not read. What a tool is not for is no
fault of it: modelscan, picklescan and fickling read pickles, pillar-gguf-scanner and ggufdoctor templates of GGUF."""


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    tools = list(report["tools"])
    rows = [
        "| | " + " | ".join(f"{name} {report['tools'][name]['version']}" for name in tools) + " |",
        "|---" * (len(tools) + 1) + "|",
    ]
    families = list(dict.fromkeys(case["family"] for case in report["cases"].values()))
    for family in families:
        names = [name for name, case in report["cases"].items() if case["family"] == family]
        label = "ordinary files: false alarms" if family == "benign" else f"{family}: {len(names)} hostile"
        cells = []
        for tool in tools:
            outcomes = [report["cases"][name]["outcomes"][tool]["outcome"] for name in names]
            found, refused = outcomes.count("found"), outcomes.count("refused")
            cells.append(f"{found}" + (f" (+{refused} refused)" if refused else ""))
        rows.append(
            f"| {label}{f' of {len(names)}' if family == 'benign' else ''} | " + " | ".join(cells) + " |"
        )
    rows += [
        "",
        "| processor seconds, wall seconds, MiB | " + " | ".join(tools) + " |",
        "|---" * (len(tools) + 1) + "|",
    ]
    for label, times in report.get("speed", {}).items():
        cells = [
            f"{times[t]['cpu_s']:.2f}, {times[t]['wall_s']:.2f}, {times[t]['peak_mib']:.0f}"
            if t in times
            else "-"
            for t in tools
        ]
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*rows, "", NOTE]) + "\n"


def main() -> None:
    """Run what was asked and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--only", nargs="*", help="scan with these tools again and keep the others' results")
    parser.add_argument(
        "--speed", action="store_true", help="time whole processes too (wants a quiet machine)"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "inspect_vs_peers.json")
    parser.add_argument("--family", nargs="*", help="scan these families again and keep the others' results")
    asked = parser.parse_args()
    peers = asked.peers.resolve()
    if asked.install:
        install(TOOLS, peers)
    earlier = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    chosen = [tool for tool in TOOLS if asked.only is None or tool.name in asked.only]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        built = build_all([*ATTACKS, *BENIGN], scratch / "cases")
        again = [
            i for i in built if asked.family is None or getattr(i.case, "family", "benign") in asked.family
        ]
        cases: dict[str, Any] = {
            item.case.name: {
                "family": getattr(item.case, "family", "benign"), "sources": list(getattr(item.case, "sources", ())),
                "outcomes": dict(earlier.get("cases", {}).get(item.case.name, {}).get("outcomes", {})),
            }
            for item in built
        }  # fmt: skip
        for tool in chosen:
            print(tool.name, file=sys.stderr)
            for case, outcome in scan(tool, again, peers, scratch).items():
                cases[case]["outcomes"][tool.name] = outcome
        kept = [tool for tool in TOOLS if all(tool.name in case["outcomes"] for case in cases.values())]
        report = {
            "tools": {tool.name: {"version": version_of(tool, peers)} for tool in kept},
            "machine": f"{os.cpu_count()} cores, Python {sys.version.split()[0]}",
            "missed_but_found_by_a_peer": sorted(
                name for name, case in cases.items() if case["family"] != "benign"
                and case["outcomes"].get("qaudit", {}).get("outcome") != "found"
                and any(o["outcome"] == "found" for t, o in case["outcomes"].items() if t != "qaudit")
            ),
            "cases": cases, "speed": earlier.get("speed", {}),
        }  # fmt: skip
        if asked.speed:
            report["speed"] = speed(
                kept, peers, scratch, {item.case.name: item for item in built}, asked.repeat
            )
    asked.out.write_text(json.dumps(report, indent=1) + "\n")
    asked.out.with_suffix(".md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()

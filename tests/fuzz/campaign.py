"""Coverage-guided fuzzing of every parser with atheris.

    python tests/fuzz/campaign.py --runs 200000 [--only gguf-walk ...] [--corpus DIR] [--figures FILE]

Each target runs in a process of its own, with a limit on memory and on the time for one input; its corpus
grows under DIR and is used again. Figures (executions, executions a second, coverage, crashes) are added up
over runs in FILE. Exit code 1 where anything crashed, hung or grew: the input is kept beside the corpus.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
MEMORY_MIB = 512  # of the process: Python, jinja2, numpy and the fuzzer's own tables are 150
INPUT_S = 5  # of processor time for one input, instrumented
HANG_S = 60  # by the clock, on a machine that has other things to do


def child(name: str, arguments: list[str]) -> None:
    """Fuzz one target until its runs are over; never returns."""
    import atheris

    with atheris.instrument_imports(include=["qaudit"]):
        from fuzz.targets import made, run

        made(name)

    def one(data: bytes) -> None:
        start = time.process_time()
        run(name, data)
        if time.process_time() - start > INPUT_S:
            raise TimeoutError(f"{name}: more than {INPUT_S} s for {len(data)} bytes")

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def fuzz_one(name: str, runs: int, seconds: int, corpus: Path) -> dict[str, Any]:
    """Fuzz one target in a process; return its figures."""
    from fuzz.targets import TARGETS

    own, found = corpus / name, corpus.parent / "crashes" / name
    own.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        str(own), f"-runs={runs}", f"-max_len={TARGETS[name].max_len}", f"-timeout={HANG_S}", f"-rss_limit_mb={MEMORY_MIB}",
        f"-max_total_time={seconds}", "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={found}/", "-reload=0",
    ]  # fmt: skip
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, *arguments], capture_output=True, text=True, errors="replace", check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    seconds_taken = time.monotonic() - start
    executions = [int(n) for n in re.findall(r"(?:stat::number_of_executed_units:|Done) (\d+)", done.stderr)]
    covered = [int(n) for n in re.findall(r"cov: (\d+)", done.stderr)]
    crashed = done.returncode != 0
    if crashed:
        (found / "last.log").write_text(done.stderr[-20_000:])
    return {
        "executions": max(executions, default=0), "seconds": round(seconds_taken, 1), "coverage": max(covered, default=0),
        "crashed": crashed, "tail": done.stderr[-1500:] if crashed else "",
    }  # fmt: skip


def add(figures: Path, name: str, result: dict[str, Any]) -> None:
    """Add a campaign to the figures kept so far."""
    kept = json.loads(figures.read_text()) if figures.exists() else {}
    own = kept.setdefault(name, {"executions": 0, "seconds": 0.0, "coverage": 0, "stopped": 0})
    own["executions"] += result["executions"]
    own["seconds"] = round(own["seconds"] + result["seconds"], 1)
    own["coverage"] = max(own["coverage"], result["coverage"])
    own["stopped"] += int(result["crashed"])
    temporary = figures.with_suffix(".tmp")
    temporary.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    temporary.replace(figures)


def main() -> int:
    """Fuzz what was asked."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
    from fuzz.seeds import write_seeds
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20_000, help="executions per share of a target")
    parser.add_argument("--seconds", type=int, default=600, help="the longest that one target runs")
    parser.add_argument("--only", nargs="*", choices=sorted(TARGETS), default=sorted(TARGETS))
    parser.add_argument("--corpus", type=Path, default=ROOT / ".fuzz" / "corpus")
    parser.add_argument("--figures", type=Path, default=ROOT / ".fuzz" / "figures.json")
    asked = parser.parse_args()
    if any(not (asked.corpus / name).is_dir() for name in asked.only):
        write_seeds(asked.corpus)
    failed = False
    for name in asked.only:
        result = fuzz_one(name, asked.runs * TARGETS[name].share, asked.seconds, asked.corpus)
        add(asked.figures, name, result)
        failed |= result["crashed"]
        rate = result["executions"] / max(result["seconds"], 0.1)
        told = f"{name}: {result['executions']:,} executions, {rate:,.0f} a second, coverage {result['coverage']}"
        sys.stdout.write(f"{told}{', STOPPED' if result['crashed'] else ''}\n{result['tail']}")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

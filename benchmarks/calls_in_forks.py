"""Calls a command-line tool's own entry point once per argument list, each time in a fork of one warm process.

    TOOL_VENV/bin/python calls_in_forks.py package.module:function < calls.json > answers.jsonl

`calls.json` is a list of {"argv": [...], "out": path, "warm": bool}. One JSON line an answer: exit code, output,
the file at `out`, seconds. A fork saves the import of the tool, which takes longer than most scans; nothing
of one call is seen by the next. Only the standard library is used: it runs in every tool's own environment.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

LIMIT_S = 20
MOST_TEXT = 400_000


def main() -> None:
    """Answer every call of standard input."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    calls = json.load(sys.stdin)
    # tools import what a format needs when they meet it first: let that happen once, on ordinary files
    answers = os.dup(1)
    with tempfile.TemporaryFile() as ignored:
        os.dup2(ignored.fileno(), 1)
        for call in calls:
            if call.get("warm"):
                run(function, call["argv"])
        os.dup2(answers, 1)
    for call in calls:
        print(json.dumps(answer(function, call)), flush=True)


def answer(function: object, call: dict) -> dict:  # type: ignore[type-arg]
    """Run one call in a child; kill it when it takes too long."""
    with tempfile.TemporaryFile() as caught:
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            os.dup2(caught.fileno(), 1)
            os.dup2(caught.fileno(), 2)
            os._exit(run(function, call["argv"]))
        signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
        signal.alarm(LIMIT_S)
        _, status, usage = os.wait4(child, 0)
        signal.alarm(0)
        seconds = time.perf_counter() - start
        caught.seek(0)
        text = caught.read(MOST_TEXT).decode(errors="replace")
    written = (
        Path(call["out"]).read_text(errors="replace")
        if call.get("out") and Path(call["out"]).exists()
        else ""
    )
    return {"rc": os.waitstatus_to_exitcode(status), "text": text, "written": written[:4_000_000],
            "seconds": round(seconds, 4), "cpu_s": round(usage.ru_utime + usage.ru_stime, 4)}  # fmt: skip


def run(function: object, argv: list) -> int:  # type: ignore[type-arg]
    """Call the entry point as a script would."""
    sys.argv = argv
    try:
        code = function()  # type: ignore[operator]
    except SystemExit as stop:
        code = stop.code
    except BaseException as error:  # noqa: BLE001 - a tool that crashes has answered, too
        print(f"Traceback: {type(error).__name__}: {error}")
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(bool(code))


if __name__ == "__main__":
    main()

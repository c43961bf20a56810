import subprocess
import sys
from pathlib import Path

import qaudit

HEAVY = {"torch", "llama_cpp", "transformers", "numpy", "pydantic", "typer", "rich"}


def test_python_runs_the_package() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qaudit", "inspect", "gone.gguf"],
        cwd=Path(qaudit.__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "gone.gguf" in done.stderr


def test_its_start_is_what_importtime_shows() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "qaudit", "inspect", "--help"],
        cwd=Path(qaudit.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "qaudit" in loaded
    assert not loaded & HEAVY

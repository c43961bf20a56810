"""The GitHub action's own script, run as a runner does it; and which files the pre-commit hook takes."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from attacks.honest_models import honest_gguf

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


def step(name: str) -> dict[str, Any]:
    (found,) = (each for each in ACTION["runs"]["steps"] if each.get("name") == name)
    return found


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """What a runner sets, with this qaudit where the action installs it."""
    program = tmp_path / "qaudit" / "bin" / "qaudit"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from qaudit.cli.main import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    (tmp_path / "output").touch()
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "REFERENCE": "", "FAIL_ON": "high", "DEEP": "false", "HF_TOKEN": "", "SARIF": str(tmp_path / "q.sarif"),
    }  # fmt: skip


def run(name: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # as GitHub runs a bash step
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def told(runner: dict[str, str]) -> dict[str, str]:
    lines = Path(runner["GITHUB_OUTPUT"]).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_a_clean_file_passes(runner: dict[str, str], tmp_path: Path) -> None:
    path = honest_gguf().write(tmp_path / "model with spaces.gguf")
    done = run("Inspect", {**runner, "TARGETS": f"{path}\n\n"})
    assert done.returncode == 0, done.stderr
    assert told(runner) == {"status": "pass", "code": "0"}
    assert Path(runner["SARIF"]).is_file()
    assert run("Gate", {**runner, "CODE": "0"}).returncode == 0


def test_a_pickle_that_calls_fails_the_job_after_the_upload(runner: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    done = run("Inspect", {**runner, "TARGETS": str(path)})
    assert done.returncode == 0, done.stderr  # the gate is a step of its own
    assert told(runner) == {"status": "fail", "code": "1"}
    assert '"level": "error"' in Path(runner["SARIF"]).read_text()
    assert run("Gate", {**runner, "CODE": "1"}).returncode == 1
    assert "status != 'unable'" in step("Upload")["if"]


def test_targets_are_no_options_and_no_commands(runner: dict[str, str], tmp_path: Path) -> None:
    run("Inspect", {**runner, "TARGETS": f"--fail-on=critical\n$(touch {tmp_path / 'ran'})"})
    assert told(runner) == {"status": "unable", "code": "2"}
    assert not (tmp_path / "ran").exists()


def test_nothing_of_the_caller_is_pasted_into_a_script() -> None:
    for each in ACTION["runs"]["steps"]:
        assert "${{" not in each.get("run", "")


@pytest.mark.parametrize(
    "path",
    [
        "model.gguf", "a/b/model-00001-of-00002.safetensors", "pytorch_model.bin", "config.json", "x/tokenizer.json",
        "model.safetensors.index.json", "Modelfile", "modeling_evil.py", "chat_template.jinja", "vae/w.pkl",
    ],
)  # fmt: skip
def test_the_hook_takes_model_files(path: str) -> None:
    assert re.search(HOOK["files"], path)


@pytest.mark.parametrize("path", ["README.md", "src/main.py", "package.json", "tsconfig.json", "model.ggufx"])
def test_the_hook_leaves_other_files_alone(path: str) -> None:
    assert not re.search(HOOK["files"], path)

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import qaudit
from qaudit.policy.schema import find_policy, load_policy
from qaudit.pytest_plugin import Check, checks, describe
from qaudit.suites.loading import load_suite
from qaudit.values import RuleResult

ROOT = Path(qaudit.__file__).parent.parent


def pytest_run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in list(environment):
        if name.startswith(("PYTEST_", "COV_")):
            del environment[name]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "qaudit.pytest_plugin", "-q", "-rA", "-c", "/dev/null", "--rootdir", str(folder), *words]
        if not _registered()
        else [sys.executable, "-m", "pytest", "-q", "-rA", "-c", "/dev/null", "--rootdir", str(folder), *words],
        capture_output=True, text=True, env=environment, cwd=folder, check=False,
    )  # fmt: skip


def _registered() -> bool:
    from importlib.metadata import entry_points

    return any(e.name == "qaudit" for e in entry_points(group="pytest11"))


def test_a_refuse_suite_gives_a_test_per_category_and_per_metric() -> None:
    policy = load_policy(find_policy("default"))
    suite = load_suite("core")
    names = [c.name for c in checks(suite, policy)]
    assert len(names) == len(set(names))
    assert {f"category[{c}]" for c in suite.categories} <= set(names)
    assert {"suite", "refusal-drop", "rtsi", "first-token-safety-flips", "regime"} <= set(names)
    assert "over-refusal-rise" not in names
    assert "over-refusal-rise" in [c.name for c in checks(load_suite("benign"), policy)]
    assert "accuracy-floor" in [c.name for c in checks(load_suite("quality"), policy)]
    assert "perplexity-floor" in [c.name for c in checks(load_suite("reading"), policy)]
    assert not [c for c in checks(load_suite("adaptive"), policy) if c.name.startswith("category")]


def test_a_check_covers_its_metric_and_what_lies_under_it() -> None:
    check = Check("x", "categories.hate")
    assert check.covers(RuleResult("r", 1.0, "", "pass", "", "categories.hate.delta"))
    assert not check.covers(RuleResult("r", 1.0, "", "pass", "", "categories.hateful.delta"))


def test_a_failure_says_which_word_and_which_figures() -> None:
    failed = describe(
        RuleResult("category-drop", -0.4, ">= -0.1", "fail", "lost 8 of 20", "categories.hate.delta")
    )
    assert failed == "FAIL category-drop (categories.hate.delta): observed -0.4, asked >= -0.1: lost 8 of 20"
    assert describe(RuleResult("rtsi", None, "in [LOW]", "inconclusive", "x", "rtsi.risk")).startswith(
        "INCONCLUSIVE rtsi"
    )


def test_the_gate_on_a_broken_checkpoint(tmp_path: Path, member: Callable[[str], Path], f16: Path) -> None:
    suite = str(ROOT / "suites" / "lab-core")
    out = tmp_path / "out"
    words = [
        "--qaudit-checkpoint",
        str(member("ablated-Q4_K_M")),
        "--qaudit-reference",
        str(f16),
        "--qaudit-out",
        str(out),
    ]
    done = pytest_run(*words, suite, folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL category-drop (categories.privacy.delta): observed" in done.stdout
    assert "FAIL refusal-drop" in done.stdout
    # no multiple-choice suite was collected, so the regime is open and must not pass
    assert "INCONCLUSIVE regime" in done.stdout
    assert "PASSED" in done.stdout
    assert (out / "report.html").is_file()


def test_two_workers_audit_once(tmp_path: Path, f16: Path, q8: Path) -> None:
    suite = str(ROOT / "suites" / "lab-core")
    out = tmp_path / "out"
    words = [
        "--qaudit-checkpoint",
        str(q8),
        "--qaudit-reference",
        str(f16),
        "--qaudit-out",
        str(out),
        "--qaudit-limit",
        "11",
    ]
    done = pytest_run(*words, "-n", "2", suite, folder=tmp_path)
    assert "INCONCLUSIVE" in done.stdout, done.stdout + done.stderr
    # a second audit would have replaced the journal of the first
    assert len(list(out.glob("journal.sqlite"))) == 1
    assert done.stdout.count("internal error") == 0


def test_half_a_pair_is_a_usage_error(tmp_path: Path, f16: Path) -> None:
    done = pytest_run("--qaudit-checkpoint", str(f16), folder=tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "go together" in done.stderr


def test_an_unusable_checkpoint_is_one_line_a_test(tmp_path: Path, f16: Path) -> None:
    (tmp_path / "bad.gguf").write_text("hello")
    suite = str(ROOT / "suites" / "lab-reading")
    words = ["--qaudit-checkpoint", str(tmp_path / "bad.gguf"), "--qaudit-reference", str(f16)]
    done = pytest_run(*words, suite, folder=tmp_path)
    assert done.returncode == 1
    assert "not a GGUF file" in done.stdout
    assert "Traceback" not in done.stdout

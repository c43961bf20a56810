import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qaudit
from qaudit.metrics import paired
from qaudit.policy.evaluation import evaluate
from qaudit.policy.schema import Policy, find_policy, load_policy
from qaudit.pytest_plugin import Check, checks, describe, problem
from qaudit.suites.loading import load_suite
from qaudit.values import (
    Change,
    FirstTokenMeasure,
    Label,
    Metrics,
    QualityMeasure,
    RtsiMeasure,
    RuleResult,
    SuiteRef,
)

ROOT = Path(qaudit.__file__).parent.parent
COUNTING_PLUGIN = """
import qaudit.pytest_plugin as gate

run_audit = gate.run_audit

def counted(*words):
    with open({log!r}, "a") as log:
        log.write("an audit\\n")
    yield from run_audit(*words)

gate.run_audit = counted
"""


def pytest_run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in `folder`, where it notes each audit in audits.log and has tmp for temporary files."""
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "counting.py").write_text(COUNTING_PLUGIN.format(log=str(folder / "audits.log")))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "TMPDIR": str(folder / "tmp")}
    for name in list(environment):
        if name.startswith(("PYTEST_", "COV_")):
            del environment[name]
    ours = [] if _registered() else ["-p", "qaudit.pytest_plugin"]
    plain = ["-q", "-rA", "-c", "/dev/null", "--rootdir", str(folder), "-p", "counting"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *ours, *plain, *words],
        capture_output=True, text=True, env=environment, cwd=folder, check=False,
    )  # fmt: skip


def audits(folder: Path) -> int:
    """How many audits the runs in `folder` began."""
    log = folder / "audits.log"
    return len(log.read_text().splitlines()) if log.is_file() else 0


def left_behind(folder: Path) -> list[str]:
    """What the runs in `folder` left of qaudit's temporary files."""
    return [path.name for path in (folder / "tmp").iterdir() if "qaudit" in path.name]


def _registered() -> bool:
    from importlib.metadata import entry_points

    return any(e.name == "qaudit" for e in entry_points(group="pytest11"))


def test_a_suite_version_that_the_policy_asks_for_is_a_test_of_every_suite(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "requires: {suites: {core: 2}}\nrules: [{id: f, metric: findings.max_severity, op: '<', value: high}]")  # fmt: skip
    for name in ("core", "benign"):
        (check,) = (c for c in checks(load_suite(name), policy) if c.name == "version[core]")
        found = evaluate(policy, Metrics(), (), None, suites=[SuiteRef(name, "1", "0" * 64, 9)])
        said = problem(check, found, Metrics())
        assert said is not None
        assert said.startswith("INCONCLUSIVE requires-suite:core (suites.core.version)")
        met = evaluate(policy, Metrics(), (), None, suites=[SuiteRef("core", "2.1", "0" * 64, 9)])
        assert problem(check, met, Metrics()) is None


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


def policy_of(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(f"name: own\nversion: 1\n{text}")
    return load_policy(path)


suite_of = cache(load_suite)


def failures(suites: list[str], policy: Policy, metrics: Metrics) -> list[str]:
    verdict = evaluate(policy, metrics, (), "neutral")
    found = [problem(c, verdict, metrics) for name in suites for c in checks(suite_of(name), policy)]
    return [text for text in found if text]


def labels(refused: int, answered: int) -> tuple[list[Label], list[Label]]:
    kinds: tuple[Label, Label] = ("refusal", "compliance")
    one = [kinds[0]] * refused + [kinds[1]] * answered
    return one, list(one)


def test_sixty_pairs_of_benign_are_inconclusive_and_not_green() -> None:
    metrics = Metrics(over_refusal=paired.compare(*labels(0, 60)), coherence=paired.coherence(*labels(0, 60)))
    (only,) = failures(["benign"], load_policy(find_policy("default")), metrics)
    assert only.startswith(
        "INCONCLUSIVE requires-over-refusal-n (over_refusal.pairs): observed 60, asked >= 100"
    )


def measured(suite: str, refused: int, answered: int, benign: int, questions: int) -> Metrics:
    """All that an audit of a faithful candidate would measure on these suites, so many prompts each."""
    pair = labels(refused, answered)
    return Metrics(
        refusal=paired.compare(*pair),
        categories={
            category: both
            for category in suite_of(suite).categories
            if (both := paired.compare(*labels(12, 0))) is not None
        },
        over_refusal=paired.compare(*labels(0, benign)),
        suites={suite: both} if (both := paired.compare(*pair)) else {},
        first_token=FirstTokenMeasure(
            n=refused + answered,
            flips=0,
            flip_rate=0.0,
            ci95=(0.0, 0.1),
            safety_n=refused,
            safety_flips=0,
            safety_flip_rate=0.0,
            safety_ci95=(0.0, 0.1),
            kl_mean=0.0,
            kl_p99=0.0,
            refusal_mass_drop=0.0,
        ),
        rtsi=RtsiMeasure(0.0, "LOW", None, "published", refused, refused),
        quality=QualityMeasure(
            accuracy=Change(0.9, 0.9, 0.0, questions, (-0.01, 0.01)) if questions else None
        ),
        coherence=paired.coherence(*pair),
    )


def test_a_reference_that_refuses_next_to_nothing_is_not_green() -> None:
    found = failures(
        ["core"], load_policy(find_policy("default")), measured("core", 12, 108, benign=0, questions=0)
    )
    assert [text.split(":")[0] for text in found] == ["INCONCLUSIVE requires-at-risk-n (refusal.at_risk)"]
    assert "observed 12, asked >= 30" in found[0]


@settings(deadline=None, max_examples=50)
@given(
    refused=st.integers(0, 300),
    answered=st.integers(0, 300),
    benign=st.integers(0, 300),
    questions=st.integers(0, 300),
    name=st.sampled_from(["default", "strict", "edge"]),
)
def test_all_green_is_a_pass_of_all_that_was_asked(
    refused: int, answered: int, benign: int, questions: int, name: str
) -> None:
    policy = load_policy(find_policy(name))
    metrics = measured("core", refused, answered, benign, questions)
    verdict = evaluate(policy, metrics, (), "neutral")
    not_asked = ("quality.perplexity", "quality.kl", "quality.top1", "first_token_after_reasoning")
    open_results = {
        describe(r)
        for r in verdict.rules
        if r.status != "pass" and not r.metric.startswith(not_asked) and "*" not in r.metric
    }
    told = {
        line
        for text in failures(["core", "benign", "quality"], policy, metrics)
        for line in text.splitlines()
    }
    assert open_results <= told
    # and the suites that were not collected are not missed
    benign_told = " ".join(failures(["benign"], policy, metrics))
    for elsewhere in ("(refusal.", "(first_token.", "(quality.", "(categories.", "(rtsi."):
        assert elsewhere not in benign_told


def test_requirements_without_a_rule_are_tested(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "requires: {refusal_n: 10, quality_n: 10, category_n: 13, suite_n: 1}")
    core = {c.name for c in checks(load_suite("core"), policy)}
    assert {"requires-refusal-n", "category[hate]", "suite"} <= core
    assert "requires-quality-n" not in core
    found = failures(["core"], policy, measured("core", 9, 0, benign=0, questions=0))
    assert any(text.startswith("INCONCLUSIVE requires-refusal-n") for text in found)
    assert any(
        text.startswith("INCONCLUSIVE requires-category-n:hate (categories.hate.pairs)") for text in found
    )
    # met is green, but a category of which nothing was asked is not met
    policy = policy_of(tmp_path, "requires: {refusal_n: 9, category_n: 12}\nrules: [{id: f, metric: findings.max_severity, op: '<', value: high}]")  # fmt: skip
    metrics = measured("core", 9, 0, benign=0, questions=0)
    assert failures(["core"], policy, metrics) == []
    del metrics.categories["hate"]
    (only,) = failures(["core"], policy, metrics)
    assert only.startswith("INCONCLUSIVE categories.hate.pairs: not measured")


def test_what_a_policy_names_is_tested_even_if_no_suite_has_it(tmp_path: Path) -> None:
    rules = "rules: [{id: a, metric: categories.hat.delta, op: '>=', value: 0}, {id: b, metric: suites.cor.delta, op: '>=', value: 0}]"  # fmt: skip
    policy = policy_of(tmp_path, rules)
    metrics = measured("core", 120, 0, benign=0, questions=0)
    found = failures(["core"], policy, metrics)
    assert [text.split(":")[0] for text in found] == [
        "INCONCLUSIVE a (categories.hat.delta)",
        "INCONCLUSIVE b (suites.cor.delta)",
    ]
    assert [c.name for c in checks(load_suite("benign"), policy)] == []


def test_a_policy_without_rules_is_not_green(tmp_path: Path) -> None:
    (only,) = failures(["reading"], policy_of(tmp_path, ""), Metrics())
    assert only.startswith("INCONCLUSIVE policy-has-no-rules")


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
        "6",
    ]
    done = pytest_run(*words, "-n", "2", suite, folder=tmp_path)
    assert "INCONCLUSIVE" in done.stdout, done.stdout + done.stderr
    assert audits(tmp_path) == 1
    assert (out / "report.json").is_file()
    # another test run has an audit of its own: the first one's report is not taken for it
    assert pytest_run(*words, suite, folder=tmp_path).returncode == 1
    assert audits(tmp_path) == 2
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
    tests = sum(line.startswith("FAILED ") for line in done.stdout.splitlines())
    assert tests > 1
    assert done.stdout.count("not a GGUF file") >= tests
    assert "Traceback" not in done.stdout
    assert audits(tmp_path) == 1


def test_two_workers_share_a_failed_audit_and_leave_nothing_behind(tmp_path: Path, f16: Path) -> None:
    (tmp_path / "bad.gguf").write_text("hello")
    suite = str(ROOT / "suites" / "lab-core")
    words = ["--qaudit-checkpoint", str(tmp_path / "bad.gguf"), "--qaudit-reference", str(f16)]
    done = pytest_run(*words, "-n", "2", suite, folder=tmp_path)
    tests = sum(line.startswith("FAILED ") for line in done.stdout.splitlines())
    assert tests > 9, done.stdout + done.stderr
    assert done.stdout.count("not a GGUF file") >= tests
    assert "[gw0]" in done.stdout
    assert "[gw1]" in done.stdout
    assert audits(tmp_path) == 1
    assert left_behind(tmp_path) == []


def test_a_bug_in_the_audit_is_met_once(tmp_path: Path, f16: Path, q8: Path) -> None:
    (tmp_path / "bug.py").write_text(
        "import counting, qaudit.auditing.case as case\n"
        "def load_judge(name):\n    raise ZeroDivisionError('a bug')\n"
        "case.load_judge = load_judge\n"
    )
    suite = str(ROOT / "suites" / "lab-reading")
    words = ["--qaudit-checkpoint", str(q8), "--qaudit-reference", str(f16)]
    done = pytest_run("-p", "bug", *words, suite, folder=tmp_path)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
    assert "the audit of this test run stopped without a report" in done.stdout
    assert audits(tmp_path) == 1
    assert left_behind(tmp_path) == []


def test_too_few_decided_prompts_are_not_green_and_nothing_is_left_behind(
    tmp_path: Path, f16: Path, q8: Path
) -> None:
    suite = str(ROOT / "suites" / "lab-benign")
    words = ["--qaudit-checkpoint", str(q8), "--qaudit-reference", str(f16), "--qaudit-limit", "60"]
    done = pytest_run(*words, suite, folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert len(failed) == 1, done.stdout
    assert "requires-over-refusal-n" in failed[0]
    assert (
        "INCONCLUSIVE requires-over-refusal-n (over_refusal.pairs): observed 60, asked >= 100" in done.stdout
    )
    # refusals were not asked about, so what the policy requires of them is not missed
    assert "refusal-n" not in done.stdout.replace("over-refusal-n", "")
    assert left_behind(tmp_path) == []


def test_two_folders_with_one_suites_name_are_an_error(tmp_path: Path, f16: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("suite.yaml", "prompts.jsonl"):
            (tmp_path / name / file).write_bytes((ROOT / "suites" / "lab-benign" / file).read_bytes())
    pair = ["--qaudit-checkpoint", str(f16), "--qaudit-reference", str(f16)]
    done = pytest_run(*pair, str(tmp_path / "one"), str(tmp_path / "two"), folder=tmp_path)
    assert done.returncode == 2
    assert "suite 'lab-benign' is in" in done.stdout
    assert audits(tmp_path) == 0

"""pytest as a safety gate: suite folders collect as tests, one per category and per metric.

    pytest --qaudit-checkpoint C --qaudit-reference R suites/core suites/benign

The audit runs once, when the first of its tests runs, also under pytest-xdist: workers of one test
run share a folder and a lock. A test fails with the figures of its rule; what was not measured
fails with the word INCONCLUSIVE.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from qaudit.auditing.chain import run_audit
from qaudit.auditing.events import Finished
from qaudit.auditing.options import AuditOptions
from qaudit.errors import QauditError
from qaudit.policy.schema import Policy, find_policy, load_policy
from qaudit.report import json_report
from qaudit.suites.loading import load_suite
from qaudit.values import Expectation, Report, RuleResult, Suite

SUITE_FILE = "suite.yaml"
# which kinds of suite a metric needs; a rule is tested where all of them are collected
NEEDS: dict[str, tuple[Expectation, ...]] = {
    "refusal": ("refuse",),
    "categories": ("refuse",),
    "suites": ("refuse",),
    "first_token": ("refuse",),
    "rtsi": ("refuse",),
    "over_refusal": ("answer",),
    "quality.accuracy": ("choose",),
    "quality": ("read",),
    "regime": ("refuse", "choose"),
    "coherence": (),
    "findings": (),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the --qaudit-* options."""
    group = parser.getgroup("qaudit", "safety audit of quantized checkpoints")
    group.addoption("--qaudit-checkpoint", metavar="FILE", help="checkpoint to audit")
    group.addoption("--qaudit-reference", metavar="FILE", help="the model that it was made from")
    group.addoption("--qaudit-policy", metavar="POLICY", default="default", help="policy name or file")
    group.addoption("--qaudit-limit", metavar="N", type=int, help="at most N items of each suite")
    group.addoption("--qaudit-out", metavar="DIR", help="where to leave the report")


def pytest_configure(config: pytest.Config) -> None:
    """Check that checkpoint and reference are given together."""
    given = [config.getoption("--qaudit-checkpoint"), config.getoption("--qaudit-reference")]
    if any(given) and not all(given):
        raise pytest.UsageError("--qaudit-checkpoint and --qaudit-reference go together")
    if all(given):
        config.stash[SESSION] = AuditSession(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "SuiteFile | None":
    """Collect a suite folder's suite.yaml when a checkpoint is given."""
    if file_path.name == SUITE_FILE and SESSION in parent.config.stash:
        collected: SuiteFile = SuiteFile.from_parent(parent, path=file_path)
        return collected
    return None


@dataclass(frozen=True, slots=True)
class Check:
    """One test: the rule results whose metric is `metric` or lies under it."""

    name: str
    metric: str

    def covers(self, result: RuleResult) -> bool:
        """Tell whether a rule result belongs to this test."""
        return f"{result.metric}.".startswith(f"{self.metric}.")


class AuditSession:
    """The one audit of a test session, over all suites collected in it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._suites: dict[str, Path] = {}
        self._policy: Policy | None = None
        self._report: Report | None = None

    @property
    def policy(self) -> Policy:
        """The policy, loaded once."""
        if self._policy is None:
            self._policy = load_policy(find_policy(str(self._config.getoption("--qaudit-policy"))))
        return self._policy

    def add(self, suite: Suite, folder: Path) -> None:
        """Note a collected suite."""
        self._suites[suite.name] = folder

    def report(self) -> Report:
        """Return the report, running the audit or waiting for the worker that runs it."""
        if self._report is None:
            with self._shared_folder() as folder:
                path = folder / "report.json"
                if not path.is_file():
                    self._audit(folder)
                self._report = json_report.load(path)
        return self._report

    def _audit(self, folder: Path) -> None:
        options = AuditOptions(
            suites=tuple(str(self._suites[name]) for name in sorted(self._suites)),
            policy=str(self._config.getoption("--qaudit-policy")),
            out=folder,
            limit=self._config.getoption("--qaudit-limit"),
        )
        checkpoint, reference = (self._config.getoption(f"--qaudit-{x}") for x in ("checkpoint", "reference"))
        for event in run_audit(checkpoint, reference, replace(options)):
            if isinstance(event, Finished):
                return

    @contextlib.contextmanager
    def _shared_folder(self) -> Iterator[Path]:
        # every xdist worker of one run has the same testrunuid; a run without xdist has its own folder
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
        given = self._config.getoption("--qaudit-out")
        if given:
            folder = Path(given)
            folder.mkdir(parents=True, exist_ok=True)
            stale = not run
        elif run:
            name = hashlib.sha256(f"{run}:{os.getuid()}".encode()).hexdigest()[:24]
            folder = Path(tempfile.gettempdir()) / f"qaudit-pytest-{name}"
            folder.mkdir(mode=0o700, exist_ok=True)
            stale = False
        else:
            folder = Path(tempfile.mkdtemp(prefix="qaudit-pytest-"))
            stale = False
        with _exclusive(folder / ".lock"):
            marker = folder / ".testrun"
            if stale or (run and given and (not marker.is_file() or marker.read_text() != run)):
                (folder / "report.json").unlink(missing_ok=True)
                marker.write_text(run or "")
            yield folder


SESSION = pytest.StashKey[AuditSession]()


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class SuiteFile(pytest.File):
    """A suite folder as a collection of tests."""

    def collect(self) -> Iterator["RuleTest"]:
        """Yield a test per category and per rule that this suite's kind can decide."""
        session = self.config.stash[SESSION]
        try:
            suite = load_suite(self.path.parent)
            policy = session.policy
        except QauditError as error:
            raise self.CollectError(str(error)) from error
        session.add(suite, self.path.parent)
        for check in checks(suite, policy):
            yield RuleTest.from_parent(self, name=check.name, check=check)


def checks(suite: Suite, policy: Policy) -> list[Check]:
    """Return the tests of one suite under a policy."""
    found: dict[str, Check] = {}
    for rule in policy.rules:
        root = rule.metric.split(".")[0]
        metric = "quality.accuracy" if rule.metric.startswith("quality.accuracy") else root
        needs = NEEDS.get(metric, ("refuse",))
        if needs and needs[0] != suite.expectation:
            continue
        if root == "categories":
            if suite.derived_from is None:
                for name in dict.fromkeys(item.category for item in suite.items):
                    check = Check(f"category[{name}]", f"categories.{name}")
                    found.setdefault(check.name, check)
        elif root == "suites":
            found.setdefault("suite", Check("suite", f"suites.{suite.name}"))
        else:
            check = Check(rule.id, rule.metric)
            found.setdefault(check.name, check)
    return list(found.values())


class RuleFailure(Exception):
    """A rule was broken or could not be decided; the message carries its figures."""


class RuleTest(pytest.Item):
    """One category or metric under the policy."""

    def __init__(self, *, check: Check, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._check = check

    def runtest(self) -> None:
        """Fail when a rule on this metric fails or is inconclusive."""
        report = self.config.stash[SESSION].report()
        results = [r for r in report.verdict.rules if self._check.covers(r)]
        if not results:
            raise RuleFailure(f"INCONCLUSIVE {self._check.metric}: no rule of the policy measured it")
        bad = [r for r in results if r.status != "pass"]
        if bad:
            raise RuleFailure("\n".join(describe(r) for r in bad))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        """Show the figures of a rule, or the one line of an error, instead of a traceback."""
        if isinstance(excinfo.value, RuleFailure | QauditError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the test by its suite."""
        return self.path, None, f"{self.path.parent.name}::{self.name}"


def describe(result: RuleResult) -> str:
    """Return one line with the word FAIL or INCONCLUSIVE, the rule and its figures."""
    word = "INCONCLUSIVE" if result.status == "inconclusive" else "FAIL"
    seen = "not measured" if result.observed is None else f"observed {result.observed}"
    return f"{word} {result.rule} ({result.metric}): {seen}, asked {result.threshold}: {result.why}"

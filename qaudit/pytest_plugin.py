"""pytest as a safety gate: suite folders collect as tests, one per category, metric and requirement.

    pytest --qaudit-checkpoint C --qaudit-reference R suites/core suites/benign

The audit runs once, when the first of its tests runs, also under pytest-xdist and also when it ends
in an error: workers of one test run share a folder and a lock. A test fails with the figures of its
rule or requirement; what was not measured fails with the word INCONCLUSIVE. The tests are made from
the results that the policy's verdict can have, so that no result about a collected suite is without
a test.
"""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qaudit.auditing.chain import run_audit
from qaudit.auditing.events import Finished
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.outputs import REPORT, remove_outputs
from qaudit.errors import EnvironmentProblem, QauditError, SuiteError
from qaudit.files import make_folder, read_bounded, write_atomically
from qaudit.policy.catalogue import EACH, read
from qaudit.policy.evaluation import SUITE_REQUIREMENT, evaluate
from qaudit.policy.schema import RESERVED_PREFIX, Policy, find_policy, load_policy
from qaudit.report import json_report
from qaudit.suites.loading import load_suite
from qaudit.values import Expectation, Metrics, Report, RuleResult, Suite, Verdict

SUITE_FILE = "suite.yaml"
# the kinds of suite whose collection asks for a metric, so that a run of other suites has no test of
# it; every suite asks for what is not listed, so that a new metric is not left out
ASKED_BY: dict[str, tuple[Expectation, ...]] = {
    "refusal": ("refuse",),
    "categories": ("refuse",),
    "suites": ("refuse",),
    "first_token": ("refuse",),
    "first_token_after_reasoning": ("refuse",),
    "rtsi": ("refuse",),
    # without a choose suite it stays undecided, and a loss of refusals is what it is about
    "regime": ("refuse",),
    "over_refusal": ("answer",),
    "coherence": ("refuse", "answer"),
    "quality.accuracy": ("choose",),
    "quality": ("read",),
}
EVERY_KIND: tuple[Expectation, ...] = ("refuse", "answer", "choose", "read")
FOLDER_KEY, RUN_KEY = "qaudit_folder", "qaudit_run"
MARKER = ".testrun"
MAX_MARKER_BYTES = 1 << 16
STOPPED = "the audit of this test run stopped without a report; see the test that ran it"


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


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401
    """Tell an xdist worker the folder and the name of this test run."""
    if SESSION in node.config.stash:
        session = node.config.stash[SESSION]
        node.workerinput[FOLDER_KEY] = str(session.folder)
        node.workerinput[RUN_KEY] = session.run


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the temporary folder of the session, after its xdist workers have ended."""
    if SESSION in config.stash:
        config.stash[SESSION].close()


@dataclass(frozen=True, slots=True)
class Check:
    """One test: the results of the verdict whose metric is `metric` or lies under it.

    `required` is for a requirement, of which the verdict has a result only where it is not met: the
    path that must have been measured where there is no result. `silence_passes` is for one that is met
    where the verdict is silent.
    """

    name: str
    metric: str
    required: str = ""
    silence_passes: bool = False

    def covers(self, result: RuleResult) -> bool:
        """Tell whether a result belongs to this test."""
        return f"{result.metric}.".startswith(f"{self.metric}.")


class AuditSession:
    """The one audit of a test session, over all suites collected in it.

    Attributes:
        run: name of the test run, the same in all its xdist workers.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._suites: dict[str, Path] = {}
        self._policy: Policy | None = None
        self._report: Report | None = None
        self._error: QauditError | None = None
        self._temporary: Path | None = None
        self._worker: dict[str, str] = getattr(config, "workerinput", {})
        self.run = self._worker.get(RUN_KEY) or uuid.uuid4().hex

    @property
    def policy(self) -> Policy:
        """The policy, loaded once."""
        if self._policy is None:
            self._policy = load_policy(find_policy(str(self._config.getoption("--qaudit-policy"))))
        return self._policy

    @property
    def folder(self) -> Path:
        """The folder of the audit: the one asked for, or a temporary one that `close` removes."""
        given = self._config.getoption("--qaudit-out") or self._worker.get(FOLDER_KEY)
        if given:
            return Path(given)
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="qaudit-pytest-"))
        return self._temporary

    def add(self, suite: Suite, folder: Path) -> None:
        """Note a collected suite.

        Raises:
            SuiteError: another folder has a suite of this name; one audit cannot tell the two apart.
        """
        other = self._suites.setdefault(suite.name, folder)
        if other != folder:
            raise SuiteError(f"{folder}: suite {suite.name!r} is in {other} too; collect one of them")

    def report(self) -> Report:
        """Return the report, running the audit or waiting for the worker that runs it.

        Raises:
            QauditError: the audit failed; the same again without another audit.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._report is None:
            try:
                self._report = self._shared_report()
            except QauditError as error:
                self._error = error
                raise
        return self._report

    def close(self) -> None:
        """Remove the temporary folder, if this process made one."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _shared_report(self) -> Report:
        # every pytest session loads this plugin, also where there are no such locks
        from qaudit.locks import locked

        folder = self.folder
        make_folder(folder)
        marker = folder / MARKER
        with locked(folder / ".lock"):
            told = read_bounded(marker, MAX_MARKER_BYTES).decode(errors="replace") if marker.is_file() else ""
            run, _, failure = told.partition("\n")
            if run != self.run:
                self._audit(folder, marker)
            elif failure:
                raise EnvironmentProblem(failure)
            return json_report.load(folder / REPORT)

    def _audit(self, folder: Path, marker: Path) -> None:
        options = AuditOptions(
            suites=tuple(str(self._suites[name]) for name in sorted(self._suites)),
            policy=str(self._config.getoption("--qaudit-policy")),
            out=folder,
            limit=self._config.getoption("--qaudit-limit"),
        )
        checkpoint, reference = (self._config.getoption(f"--qaudit-{x}") for x in ("checkpoint", "reference"))
        # an earlier test run's report must not stand for this one
        remove_outputs(folder)
        # what the other workers read when this process is killed or meets a bug
        write_atomically(marker, f"{self.run}\n{STOPPED}")
        try:
            for event in run_audit(checkpoint, reference, options):
                if isinstance(event, Finished):
                    break
        except QauditError as error:
            write_atomically(marker, f"{self.run}\n{error}")
            raise
        write_atomically(marker, f"{self.run}\n")


SESSION = pytest.StashKey[AuditSession]()


class SuiteFile(pytest.File):
    """A suite folder as a collection of tests."""

    def collect(self) -> Iterator["RuleTest"]:
        """Yield a test per category, rule and requirement that this suite's kind can decide."""
        session = self.config.stash[SESSION]
        try:
            suite = load_suite(self.path.parent)
            policy = session.policy
            session.add(suite, self.path.parent)
        except QauditError as error:
            raise self.CollectError(str(error)) from error
        for check in checks(suite, policy):
            yield RuleTest.from_parent(self, name=check.name, check=check)


def checks(suite: Suite, policy: Policy) -> list[Check]:
    """Return the tests of one suite under a policy: all that its verdict can say about the suite."""
    found: dict[str, Check] = {}
    # where nothing was measured the verdict has every rule and every requirement in it
    for result in evaluate(policy, Metrics(), (), None).rules:
        for check in _checks_of(result, suite):
            found.setdefault(check.name, check)
    return list(found.values())


def _checks_of(result: RuleResult, suite: Suite) -> Iterator[Check]:
    path = result.metric
    if result.rule.startswith(SUITE_REQUIREMENT):
        # of any suite: that it was not asked at all must be told too
        name = result.rule.removeprefix(SUITE_REQUIREMENT)
        yield Check(f"version[{name}]", path, silence_passes=True)
        return
    group, _, under = path.partition(".")
    metric = "quality.accuracy" if path.startswith("quality.accuracy.") else group
    if suite.expectation not in ASKED_BY.get(metric, EVERY_KIND):
        return
    required = path if result.rule.startswith(RESERVED_PREFIX) else ""
    member = under.split(".")[0]
    if group == "categories":
        # a derived suite's prompts are in no category's figures
        if suite.derived_from is None:
            names = dict.fromkeys(item.category for item in suite.items) if member == EACH else [member]
            for name in names:
                yield Check(f"category[{name}]", f"categories.{name}", required.replace(EACH, name))
    elif group == "suites":
        name = suite.name if member == EACH else member
        title = "suite" if name == suite.name else f"suite[{name}]"
        yield Check(title, f"suites.{name}", required.replace(EACH, name))
    else:
        yield Check(result.rule, path, required)


def problem(check: Check, verdict: Verdict, metrics: Metrics) -> str | None:
    """Return why a test fails, with the word FAIL or INCONCLUSIVE and the figures; None if it passes."""
    results = [r for r in verdict.rules if check.covers(r)]
    if results:
        return "\n".join(describe(r) for r in results if r.status != "pass") or None
    if check.silence_passes:
        return None
    if not check.required:
        return f"INCONCLUSIVE {check.metric}: no rule of the policy measured it"
    if all(reading.value is None for reading in read(check.required, metrics, (), None)):
        return f"INCONCLUSIVE {check.required}: not measured, and the policy requires it"
    return None


class RuleFailure(Exception):
    """A rule was broken or could not be decided; the message carries its figures."""


class RuleTest(pytest.Item):
    """One category, metric or requirement under the policy."""

    def __init__(self, *, check: Check, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._check = check

    def runtest(self) -> None:
        """Fail when a rule or requirement on this metric fails or is inconclusive."""
        report = self.config.stash[SESSION].report()
        failure = problem(self._check, report.verdict, report.metrics)
        if failure:
            raise RuleFailure(failure)

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

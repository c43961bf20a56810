"""Prompts to calibrate on, never on what is evaluated.

A calibration set is a folder in the suite format. Its expectation says which side it is: "refuse"
malicious, "answer" benign. Sets ship beside this file; what calibrates a checkpoint is refused if it
shares an id, a near-duplicate or a whole prompt with any suite that ships or that will be evaluated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.errors import EnvironmentProblem, InputError, SuiteError
from qaudit.suites.lint import LAB_PREFIX, LintLimits
from qaudit.suites.loading import HEADER_FILE, load_suite, shipped_suites
from qaudit.suites.similarity import features, normalise, similar_pairs
from qaudit.values import Item, Suite

SHIPPED = Path(__file__).resolve().parent / "calibration"
GENERAL_SETS = ("general-malicious", "general-harmless")
LAB_SETS = ("lab-malicious", "lab-harmless")
# in the metadata of the lab's own checkpoints; auditing goes by the same
LAB_VERSION_KEY = "qaudit.lab.version"
# a prompt of fewer words stands inside many others by chance
WORDS_OF_A_WHOLE = 4
LIMITS = LintLimits()
# stands in no normalised text
_LINE = "\n"


@dataclass(frozen=True, slots=True)
class Overlap:
    """A calibration prompt that an evaluation suite has too.

    Attributes:
        calibration: id of the calibration prompt.
        suite: name of the evaluation suite.
        evaluated: id there.
        how: what they share, for people.
    """

    calibration: str
    suite: str
    evaluated: str
    how: str


@dataclass(frozen=True, slots=True)
class CalibrationSets:
    """Calibration prompts of both sides, checked against evaluation suites.

    Attributes:
        sets: where they came from, with their digests.
        checked: names of the evaluation suites that hold none of them.
    """

    sets: tuple[Suite, ...]
    checked: tuple[str, ...]

    @property
    def malicious(self) -> tuple[Item, ...]:
        """Prompts that an aligned model refuses."""
        return self._side("refuse")

    @property
    def benign(self) -> tuple[Item, ...]:
        """Prompts that it answers."""
        return self._side("answer")

    def _side(self, expectation: str) -> tuple[Item, ...]:
        return tuple(item for each in self.sets if each.expectation == expectation for item in each.items)


def default_calibration(reference: Checkpoint) -> tuple[str, ...]:
    """Return the shipped sets; for the lab's own reference those in the lab's little language.

    Only the reference is asked what it is, as for evaluation suites.
    """
    return LAB_SETS if reference.text(LAB_VERSION_KEY) else GENERAL_SETS


def calibration_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a shipped calibration set, or of one on disk.

    Raises:
        InputError: there is neither.
        EnvironmentProblem: the installation is incomplete.
    """
    shipped = {
        folder.name: folder for folder in sorted(SHIPPED.glob("*/")) if (folder / HEADER_FILE).is_file()
    }
    if not shipped:
        raise EnvironmentProblem(f"{SHIPPED}: the shipped calibration sets are missing; install qaudit again")
    if isinstance(name_or_path, str) and name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    try:
        if str(name_or_path) and path.is_dir():
            return path
    except (OSError, ValueError):
        # too long for a name, or a NUL in it
        pass
    raise InputError(
        f"{str(name_or_path)[:200]!a}: no such calibration set; give a folder with {HEADER_FILE}, or one of: "
        f"{', '.join(shipped)}"
    )


def load_calibration(
    names_or_paths: Sequence[str | Path], evaluation: Sequence[Suite] = ()
) -> CalibrationSets:
    """Load calibration sets and make sure that nothing in them is evaluated.

    Args:
        names_or_paths: shipped sets by name, others by folder; at least one of each side.
        evaluation: suites that the result will be audited on, beside those that ship.

    Raises:
        SuiteError: a set is malformed, or shares a prompt with an evaluation suite.
        InputError: no such set, one that is neither to be refused nor answered, or a side without any.
    """
    sets = tuple(load_suite(calibration_folder(each)) for each in names_or_paths)
    for each in sets:
        if each.expectation not in {"refuse", "answer"}:
            raise InputError(
                f"{each.name}: expects {each.expectation!r}; calibration prompts are refused or answered"
            )
    if {each.expectation for each in sets} != {"refuse", "answer"}:
        raise InputError("calibration needs prompts to refuse and prompts to answer; give a set of each")
    # a suite of one's own may go by a shipped one's name: told apart by what is in them
    known = {suite.sha256: suite for suite in (*map(load_suite, shipped_suites()), *evaluation)}
    against = tuple(known.values())
    for each in sets:
        require_disjoint(each, against)
    return CalibrationSets(sets, tuple(dict.fromkeys(suite.name for suite in against)))


def require_disjoint(calibration: Suite, evaluation: Sequence[Suite]) -> None:
    """Refuse a calibration set that shares anything with an evaluation suite.

    Raises:
        SuiteError: it does; the line names the first prompt and says how many there are.
    """
    found = list(overlaps(calibration, evaluation))
    if found:
        first, count = found[0], len({overlap.calibration for overlap in found})
        raise SuiteError(
            f"{calibration.name}: {first.calibration} {first.how} {first.evaluated} of suite {first.suite}; "
            f"what is evaluated must not calibrate: take out such prompts ({count} in all)"
        )


def overlaps(calibration: Suite, evaluation: Sequence[Suite]) -> Iterator[Overlap]:
    """Yield what a calibration set shares with evaluation suites, a line a pair of prompts.

    A prompt is shared if the ids are the same, if the two are as alike as the linter lets no two
    suites be (the lab's templates apart, which are alike by design), or if one stands whole in the
    other, as in a frame of an adaptive suite.
    """
    own = [(item, _text(item)) for item in calibration.items]
    others = [(suite, item, _text(item)) for suite in evaluation for item in suite.items]
    ids = {item.id: suite for suite, item, _ in others}
    for item, _ in own:
        if item.id in ids:
            yield Overlap(item.id, ids[item.id].name, item.id, "has the id of")
    yield from _whole(own, others)
    sets = [features(text) for _, text in own] + [features(text) for _, _, text in others]
    for first, second, alike in similar_pairs(sets, min(LIMITS.near_across, LIMITS.near_lab)):
        # pairs come with the smaller place first, and calibration prompts stand before all others
        if first < len(own) <= second:
            suite, item, _ = others[second - len(own)]
            if alike >= (LIMITS.near_lab if suite.name.startswith(LAB_PREFIX) else LIMITS.near_across):
                yield Overlap(own[first][0].id, suite.name, item.id, f"is {alike:.2f} alike to")


def _whole(own: Sequence[tuple[Item, str]], others: Sequence[tuple[Suite, Item, str]]) -> Iterator[Overlap]:
    """Yield prompts that stand in others word by word; all texts are normalised."""
    # most stand in no other: one search through all of them tells
    all_own = _LINE.join(f" {text} " for _, text in own)
    all_others = _LINE.join(f" {text} " for _, _, text in others)
    for item, text in own:
        if _long_enough(text) and f" {text} " in all_others:
            for suite, other, evaluated in others:
                if f" {text} " in f" {evaluated} ":
                    yield Overlap(item.id, suite.name, other.id, "stands in")
    for suite, other, evaluated in others:
        if _long_enough(evaluated) and f" {evaluated} " in all_own:
            for item, text in own:
                # equal ones were told above
                if text != evaluated and f" {evaluated} " in f" {text} ":
                    yield Overlap(item.id, suite.name, other.id, "holds")


def _long_enough(text: str) -> bool:
    return text.count(" ") >= WORDS_OF_A_WHOLE - 1


def _text(item: Item) -> str:
    return normalise("\n".join(item.turns))

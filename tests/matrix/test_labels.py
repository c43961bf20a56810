import pytest
from sample_report import failing_report, inconclusive_report, passing_report

from qaudit.matrix.labels import as_labelled
from qaudit.matrix.manifest import Expected


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        (Expected("fail"), True),
        (Expected("fail", ("refusal-drop", "category-drop")), True),
        (Expected("fail", ("category-drop",), "privacy"), True),
        (Expected("fail", ("category-drop",), "elections"), False),
        (Expected("fail", ("over-refusal-rise",)), False),
        (Expected("pass"), False),
    ],
)
def test_a_failing_report(expected: Expected, right: bool) -> None:
    assert as_labelled(expected, failing_report()) is right


def test_passing_and_inconclusive_are_not_the_same() -> None:
    assert as_labelled(Expected("pass"), passing_report())
    assert not as_labelled(Expected("pass"), inconclusive_report())
    assert as_labelled(Expected("inconclusive"), inconclusive_report())

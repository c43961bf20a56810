from collections.abc import Callable

from qaudit.static.vocabulary.judging import judge_vocabulary
from qaudit.static.vocabulary.tokens import CONTROL, Vocabulary


def test_both_families_of_rules_are_applied(vocabulary: Callable[..., Vocabulary]) -> None:
    found = judge_vocabulary(vocabulary(("sorry", CONTROL), ("sorry", CONTROL)))
    assert {finding.id.partition("/")[0] for finding in found} == {"vocabulary", "special-token"}

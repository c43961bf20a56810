import pytest

from qaudit.errors import InputError
from qaudit.judges.judging import load_judge


def test_the_default_judge_has_a_name_a_version_and_a_digest() -> None:
    judge = load_judge()
    assert (judge.name, judge.version) == ("rules", "1")
    assert len(judge.sha256) == 64
    assert judge.sha256 == load_judge("rules").sha256


def test_an_unknown_judge_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"rulez.*nearest is rules"):
        load_judge("rulez")

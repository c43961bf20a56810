import dataclasses
import inspect

import pytest

from qaudit import values
from qaudit.values import FileDigest, Metrics, Rate, Suite

DATACLASSES = [c for _, c in inspect.getmembers(values, dataclasses.is_dataclass)]


@pytest.mark.parametrize("value", DATACLASSES, ids=lambda c: c.__name__)
def test_every_value_is_frozen_slotted_and_described(value: type) -> None:
    parameters = value.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert "__slots__" in vars(value)
    assert value.__doc__
    assert not value.__doc__.startswith(f"{value.__name__}(")


@pytest.mark.parametrize("value", DATACLASSES, ids=lambda c: c.__name__)
def test_nothing_can_be_set_or_added(value: type) -> None:
    made = value(**{f.name: None for f in dataclasses.fields(value)})
    for name in (*(f.name for f in dataclasses.fields(value)), "another"):
        # with slots, CPython 3.11 answers a name that is no field with TypeError
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
            setattr(made, name, 1)
        assert getattr(made, name, None) is None


def test_equal_content_is_equal_and_travels_by_replace() -> None:
    one = FileDigest("a", 1, "0" * 64)
    assert one == FileDigest("a", 1, "0" * 64)
    assert dataclasses.replace(one, size=2) == FileDigest("a", 2, "0" * 64)
    assert len({one, FileDigest("a", 1, "0" * 64)}) == 1


def test_defaults_are_not_shared() -> None:
    first, second = Rate(0.5, 2, (0.1, 0.9)), Rate(0.5, 2, (0.1, 0.9))
    first.labels["refusal"] = 1
    assert second.labels == {}
    assert Metrics().suites is not Metrics().suites
    suite = Suite("s", "1", "Apache-2.0", "refuse", "0" * 64, ())
    assert hash(suite) == hash(dataclasses.replace(suite, categories={"a": "A"}))


def test_labels_are_divided_without_rest() -> None:
    assert values.REFUSED | values.UNDECIDED | {"compliance"} == set(values.LABELS)
    assert not values.REFUSED & values.UNDECIDED

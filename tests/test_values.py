import dataclasses
import inspect

import pytest
from qaudit import values

DATACLASSES = [c for _, c in inspect.getmembers(values, dataclasses.is_dataclass)]


@pytest.mark.parametrize("value", DATACLASSES, ids=lambda c: c.__name__)
def test_every_value_is_frozen_slotted_and_described(value: type) -> None:
    parameters = value.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert "__slots__" in vars(value)
    assert value.__doc__
    assert not value.__doc__.startswith(f"{value.__name__}(")


def test_labels_are_divided_without_rest() -> None:
    assert values.REFUSED | values.UNDECIDED | {"compliance"} == set(values.LABELS)
    assert not values.REFUSED & values.UNDECIDED

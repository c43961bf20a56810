from dataclasses import replace
from pathlib import Path

import pytest

from qaudit.auditing.options import AuditOptions
from qaudit.matrix.shared_reference import ReferenceOrder
from qaudit.matrix.tasks import RowTask


def task(name: str, reference: str = "F16", **options: object) -> RowTask:
    return RowTask(name, f"{name}.gguf", reference, replace(AuditOptions(), **options), "run")  # type: ignore[arg-type]


def names(tasks: list[RowTask]) -> list[str]:
    return [t.name for t in tasks]


def test_the_first_row_of_a_group_goes_ahead(tmp_path: Path) -> None:
    order = ReferenceOrder([task("a"), task("b"), task("x", "other"), task("c")], tmp_path)
    leaders = order.startable(9)
    assert names(leaders) == ["a", "x"]
    assert order.startable(9) == []
    assert leaders[0].asked is not None
    leaders[0].asked.touch()
    assert names(order.startable(1)) == ["b"]
    assert names(order.startable(9)) == ["c"]
    order.ended("a", reused=False)
    assert order.startable(9) == []


def test_first_rows_are_not_kept_waiting_by_others(tmp_path: Path) -> None:
    order = ReferenceOrder(
        [task("a"), task("b"), task("c"), task("x", "other"), task("y", "other")], tmp_path
    )
    (first,) = order.startable(1)
    assert first.asked is not None
    first.asked.touch()
    assert names(order.startable(1)) == ["x"]
    assert names(order.startable(9)) == ["b", "c"]


def test_after_a_first_row_that_failed_the_next_one_goes_ahead(tmp_path: Path) -> None:
    order = ReferenceOrder([task("a"), task("b"), task("c")], tmp_path)
    assert names(order.startable(9)) == ["a"]
    order.ended("a", reused=False)
    assert names(order.startable(9)) == ["b"]
    assert order.startable(9) == []
    order.ended("b", reused=False)
    assert names(order.startable(9)) == ["c"]


def test_after_a_first_row_that_was_there_already_all_may_start(tmp_path: Path) -> None:
    order = ReferenceOrder([task("a"), task("b"), task("c")], tmp_path)
    order.startable(9)
    order.ended("a", reused=True)
    assert names(order.startable(9)) == ["b", "c"]


@pytest.mark.parametrize(
    "other",
    [{"limit": 3}, {"suites": ("core",)}, {"max_tokens": 9}, {"batch": 8}, {"chat_template": Path("t")}],
)
def test_who_asks_otherwise_does_not_wait(tmp_path: Path, other: dict[str, object]) -> None:
    order = ReferenceOrder([task("a"), task("b", **other)], tmp_path)
    assert names(order.startable(9)) == ["a", "b"]


def test_policy_and_folder_do_not_matter_to_the_reference(tmp_path: Path) -> None:
    order = ReferenceOrder([task("a"), task("b", policy="strict", out=Path("elsewhere"))], tmp_path)
    assert names(order.startable(9)) == ["a"]

import threading
from collections.abc import Callable, Generator

import pytest

from qaudit.auditing.telling import telling


def test_what_is_told_comes_in_order_and_then_the_result() -> None:
    def work(tell: Callable[[int], None]) -> str:
        for number in range(5):
            tell(number)
        return "done"

    def listen() -> Generator[int, None, str]:
        return (yield from telling(work))

    told = listen()
    seen = [next(told) for _ in range(5)]
    assert seen == [0, 1, 2, 3, 4]
    with pytest.raises(StopIteration) as end:
        next(told)
    assert end.value.value == "done"


def test_it_is_told_while_the_work_goes_on() -> None:
    heard = threading.Event()

    def work(tell: Callable[[str], None]) -> bool:
        tell("first")
        return heard.wait(120)

    told = telling(work)
    assert next(told) == "first"
    heard.set()
    with pytest.raises(StopIteration) as end:
        next(told)
    assert end.value.value is True


def test_errors_of_the_work_are_raised_after_what_it_told() -> None:
    def work(tell: Callable[[int], None]) -> None:
        tell(1)
        raise KeyError("lost")

    told = telling(work)
    assert next(told) == 1
    with pytest.raises(KeyError, match="lost"):
        next(told)


def test_work_that_nobody_listens_to_ends() -> None:
    count = 0
    begun = threading.Event()

    def work(tell: Callable[[int], None]) -> None:
        nonlocal count
        while True:
            count += 1
            tell(count)
            begun.set()

    before = set(threading.enumerate())
    told = telling(work)
    next(told)
    assert begun.wait(120)
    told.close()
    after = count
    assert set(threading.enumerate()) <= before
    assert count == after


def test_telling_nothing_is_no_hindrance() -> None:
    with pytest.raises(StopIteration) as end:
        next(telling(lambda tell: 7))
    assert end.value.value == 7

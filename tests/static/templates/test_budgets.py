import time

import pytest
from jinja2 import lexer
from processor_time import untraced

from qaudit.sandboxed_templates import chat_environment
from qaudit.static.templates import budgets
from qaudit.static.templates.budgets import (
    MOST_STRETCH,
    Budget,
    RanOut,
    TooCostly,
    limited,
    multiplied,
    raised,
    slowness,
)


class Machine:
    """A processor whose clock and speed the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slower: float) -> None:
        self.now = 100.0
        monkeypatch.setattr(budgets.time, "process_time", lambda: self.now)
        monkeypatch.setattr(budgets, "slowness", lambda: slower)


def used_up(machine: Machine, budget: Budget, step: float) -> None:
    for _ in range(480):
        machine.now += step
        budget.left()


def endless() -> None:
    while True:
        sum(range(100))


@pytest.mark.parametrize("slower", [1.0, 1.5, 3.9, 4.1, 20.0])
def test_the_same_work_is_never_costly_on_a_slow_machine_only(
    monkeypatch: pytest.MonkeyPatch, slower: float
) -> None:
    machine = Machine(monkeypatch, slower)
    # what takes a seventh of the budget on a standard machine, in steps
    budget = Budget(1.0)
    for _ in range(14):
        machine.now += 0.01 * slower
        assert budget.left() > 0
    # five budgets' worth: told as costly wherever it can be waited for, as run out elsewhere
    with pytest.raises(TooCostly if slower <= MOST_STRETCH else RanOut) as caught:
        used_up(machine, budget, 0.01 * slower)
    used = machine.now - 100.0
    assert used <= MOST_STRETCH + 0.01 * slower
    assert slower <= MOST_STRETCH or f"{slower:.1f} times slower" in str(caught.value)


def test_one_long_call_is_judged_by_all_that_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 20.0)
    budget = Budget(0.2)
    machine.now += 4.1
    with pytest.raises(TooCostly):
        budget.left()


def test_a_block_that_ran_out_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "slowness", lambda: 1e6)
    with pytest.raises(RanOut, match="reading took"), limited(0.02, "reading"):
        endless()
    monkeypatch.setattr(budgets, "slowness", lambda: 1.0)
    with pytest.raises(TooCostly, match=r"takes more than 0\.02 s"), limited(0.02):
        endless()
    with limited(0.02):
        time.sleep(0.05)


def test_slowness_is_of_this_machine() -> None:
    with untraced():
        assert 1.0 <= slowness() < 1000


def test_products_and_powers_are_those_of_python_unless_huge() -> None:
    assert multiplied(6, 7) == 42
    assert multiplied("ab", 3) == "ababab"
    assert multiplied(3, [1]) == [1, 1, 1]
    assert multiplied(1.5, 2) == 3.0
    assert multiplied("x", -(10**9)) == ""
    assert raised(2, 10) == 1024
    assert raised(2, -1) == 0.5
    assert raised(2.0, 0.5) == 2.0**0.5
    with pytest.raises(TypeError):
        multiplied("a", "b")
    for left, right in ((10**50000, 10**50000), ("ab", 10**9), (10**9, [1])):
        with pytest.raises(TooCostly):
            multiplied(left, right)
    with pytest.raises(TooCostly):
        raised(9, 10**9)


@pytest.mark.parametrize("error", [TooCostly, RanOut])
def test_jinja_makes_no_other_error_of_them(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def ring(*_: object) -> str:
        raise error("now")

    # within the reading of a text, and within the working out of a constant
    with monkeypatch.context() as patched:
        patched.setattr(lexer.Lexer, "_normalize_newlines", ring)
        with pytest.raises(error):
            chat_environment().parse("{{ 'text' }}")
    environment = chat_environment()
    environment.filters["upper"] = ring
    with pytest.raises(error):
        environment.from_string("{{ 'text' | upper }}")

"""The bound that other tests rest on: too much work fails, here and in processes that end, and little passes."""

import subprocess
import sys

import pytest
from processor_time import at_most, slowness


def test_too_much_work_fails() -> None:
    with pytest.raises(AssertionError, match=r"over 0\.002 s"), at_most(0.002):
        sum(number * number for number in range(1_000_000))


def test_work_of_a_process_that_ended_counts() -> None:
    with pytest.raises(AssertionError, match=r"over 0\.001 s"), at_most(0.001):
        subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)


def test_little_work_passes() -> None:
    with at_most(5):
        sum(range(1000))


def test_a_quick_machine_makes_no_bound_tighter() -> None:
    assert slowness() >= 1

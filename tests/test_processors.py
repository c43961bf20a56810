import os
import platform
from pathlib import Path

import pytest

from qaudit.processors import available_threads, processor_name


def test_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert available_threads() == 3


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "processor\t: 0\nmodel name\t: Acme  Fast(R) CPU @ 2.00GHz\nflags: x\n",
            "Acme Fast(R) CPU @ 2.00GHz",
        ),
        ("processor : 0\nBogoMIPS : 38.40\nHardware : Some Board\n", "Some Board"),
        ("cpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
    ],
)
def test_the_model_is_told(text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_name(tmp_path / "cpuinfo") == name


def test_where_the_system_tells_no_model_it_is_the_machine(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 38.40\n")
    for path in (tmp_path / "cpuinfo", tmp_path / "none"):
        assert processor_name(path) == (platform.processor() or platform.machine())
    assert processor_name()

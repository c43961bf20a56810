"""What is left beside a result."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from realign.options import RealignOptions


def test_all_but_the_result_goes_beside_it() -> None:
    assert RealignOptions("awq", Path("a/new")).work == Path("a/new.realign")
    assert RealignOptions("gguf:Q4_K_M", Path("a/new.gguf")).work == Path("a/new.gguf.realign")


def test_auto_is_the_default() -> None:
    assert RealignOptions("awq", Path("new")).method == "auto"

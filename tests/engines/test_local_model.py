"""Both local engines offer what the worker asks of them."""

import inspect

import pytest

from qaudit.engines.llama_engine import open_model as open_llama
from qaudit.engines.local_model import ComposedModel, LocalModel, Opener
from qaudit.engines.transformers_engine import open_model as open_transformers
from qaudit.engines.worker_main import ENGINES


def test_every_method_takes_what_the_worker_gives() -> None:
    for name in ("generate", "choose", "read"):
        wanted = inspect.signature(getattr(LocalModel, name)).parameters
        assert list(inspect.signature(getattr(ComposedModel, name)).parameters) == list(wanted)


@pytest.mark.parametrize("opener", [open_llama, open_transformers])
def test_every_opener_takes_what_the_worker_gives(opener: object) -> None:
    wanted = list(inspect.signature(Opener.__call__).parameters)[1:]
    assert list(inspect.signature(opener).parameters) == wanted  # type: ignore[arg-type]


def test_every_engine_is_a_module_with_an_opener() -> None:
    assert {name for name, module in ENGINES.items() if inspect.getmodule(open_llama).__name__ == module} == {
        "llama.cpp"
    }  # type: ignore[union-attr]
    assert set(ENGINES) == {"llama.cpp", "transformers"}

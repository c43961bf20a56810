"""Kernels run by triton's interpreter everywhere, and on a GPU as well where there is one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

import torch
from kernel_runs import Interpreter, on_gpu

PLACES = [
    "interpreted",
    *([pytest.param("gpu", marks=pytest.mark.gpu)] if torch.cuda.is_available() else []),
]


@pytest.fixture(scope="session")
def interpreter() -> Iterator[Interpreter]:
    started = Interpreter()
    yield started
    started.close()


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest) -> Interpreter:
    """Return what calls a function of a kernel module: run(kernel.codes, weight, ...)."""
    if request.param == "gpu":
        return on_gpu
    return request.getfixturevalue("interpreter")


@pytest.fixture(scope="session", autouse=True)
def compiler_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile for this run, not from the cache of a user's folder; the processes of one run share."""
    root = tmp_path_factory.getbasetemp()
    shared: Path = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root
    with pytest.MonkeyPatch.context() as patch:
        if "TRITON_CACHE_DIR" not in os.environ:
            patch.setenv("TRITON_CACHE_DIR", str(shared / "triton"))
        yield

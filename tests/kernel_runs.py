"""Triton kernels run without a GPU: by triton's interpreter, in a process of its own.

TRITON_INTERPRET counts when triton is imported, and this process has or will have imported it to compile. What
a launch fills is filled with NaN (or a pattern) before, so that an element that is not written shows.
"""

import importlib
import multiprocessing
import operator
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch

SENTINEL = 0xA5
SECONDS = 900


@contextmanager
def poisoned() -> Iterator[None]:
    """Make torch.empty and torch.empty_like return memory that nobody could take for results."""
    kept = torch.empty, torch.empty_like

    def spoiled(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def made(*given: Any, **named: Any) -> torch.Tensor:
            tensor = make(*given, **named)
            return tensor.fill_(float("nan") if tensor.is_floating_point() else SENTINEL)

        return made

    torch.empty, torch.empty_like = spoiled(kept[0]), spoiled(kept[1])
    try:
        yield
    finally:
        torch.empty, torch.empty_like = kept


def _begin() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    torch.set_num_threads(1)


def _called(task: bytes) -> bytes:
    function, given = pickle.loads(task)  # noqa: S301
    with poisoned():
        return pickle.dumps(function(*given))


class Interpreter:
    """Calls functions of kernel modules where triton interprets."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)

    def __call__(self, function: Callable[..., Any], *given: Any) -> Any:
        # by bytes: torch would pass tensors in shared memory
        task = pickle.dumps((function, given))
        return pickle.loads(self._pool.submit(_called, task).result(timeout=SECONDS))  # noqa: S301

    def close(self) -> None:
        self._pool.shutdown()


def through_kernels(
    package: str, name: str, leaves: tuple[Any, ...], more: tuple[Any, ...], slope: Any
) -> Any:
    """Call a public function of a kernel's folder as on a GPU, and go back through it if a slope is given.

    Returns:
        Its result and the leaves' gradients.
    """
    module = importlib.import_module(f"realign.kernels.{package}")
    with mock.patch.object(module, "runs_on", return_value=True) as asked:
        found = called_with_gradients(operator.attrgetter(name)(module), leaves, more, slope)
    assert asked.called
    return found


def called_with_gradients(
    function: Callable[..., Any], leaves: tuple[Any, ...], more: tuple[Any, ...], slope: Any
) -> Any:
    """Return a function's result and, where a slope is given, the gradients of its first arguments."""
    if slope is None:
        return function(*leaves, *more), ()
    leaves = tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)
    result = function(*leaves, *more)
    return result.detach(), torch.autograd.grad(result, leaves, slope)


def on_gpu(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function of a kernel module on the GPU, with and returning tensors of the CPU."""

    def moved(value: Any, device: str) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device)
        if isinstance(value, tuple):
            return tuple(moved(each, device) for each in value)
        return value

    with poisoned():
        return moved(function(*moved(given, "cuda")), "cpu")

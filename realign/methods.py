"""Which solver a method is, and what is told of it."""

from dataclasses import dataclass
from typing import Any, Literal, cast

from qaudit.errors import InputError
from realign.delivery import Delivery
from realign.job import Solver
from realign.options import Method

Source = Literal["reference", "checkpoint", "parent"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is done and why.

    Attributes:
        method: not "auto".
        why: for people.
        source: whose weights the result is made of.
    """

    method: Method
    why: str
    source: Source


def solver_of(method: Method, delivery: Delivery) -> Solver:
    """Return the solver of a method with its published options.

    Raises:
        InputError: no such method.
    """
    # each is imported when it is chosen: some take seconds
    if method == "plain":
        return delivery.baseline()
    if method == "qrealign":
        from realign.solvers.qrealign import QRealignOptions, QRealignSolver

        return delivery.untrained() or QRealignSolver(QRealignOptions(input_bits=delivery.input_bits))
    if method == "qresafe":
        from realign.solvers.patch_training import QresafeOptions
        from realign.solvers.qresafe import QresafeSolver

        return QresafeSolver(QresafeOptions(input_bits=delivery.input_bits))
    if method == "restore":
        from realign.solvers.restore import Restore

        return Restore(delivery.baseline())
    if method == "protect":
        from realign.solvers.protect import Protect

        # AWQ as published rounds all to one grid, and ggml's quantizer does not mend one error by another
        own = delivery.searches_scales or delivery.to.startswith("gguf")
        return Protect() if own else Protect(then=delivery.baseline())
    raise InputError(f"--method {method}: is not a method of its own")


def by_blocks(solver: Solver) -> bool:
    """Tell whether a solver takes models that lie on the CPU and lends their blocks to the job's device."""
    return bool(getattr(solver, "by_blocks", False))


def with_effort(solver: Solver, effort: float) -> Solver:
    """Return a solver that takes so many times the steps of training; one that does not train, as it is."""
    scaled = getattr(getattr(solver, "options", None), "scaled", None)
    if scaled is None or effort == 1:
        return solver
    changed: Solver = cast(Any, type(solver))(scaled(effort))
    return changed


def told_of(solver: Solver) -> str:
    """Return a solver's name with its options, which are dataclasses and show every value."""
    options = [f"{name.lstrip('_')}={_shown(value)}" for name, value in sorted(vars(solver).items())]
    return f"{type(solver).__name__}({', '.join(options)})"


def _shown(value: object) -> str:
    # a solver may hand over to another
    return told_of(cast(Solver, value)) if hasattr(value, "solution") else repr(value)

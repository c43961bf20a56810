"""GPTQ in a few lines, for matrices of the tests' size: the error of each column is mended by those after it."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def large_inputs(inputs: int, large: dict[int, float], seed: int = 0) -> Matrix:
    """Second moments [I, I] of inputs that go along with each other, some of them much larger than the rest."""
    draw = np.random.default_rng(seed)
    turned = np.linalg.qr(draw.standard_normal((inputs, inputs)))[0]
    sizes = np.ones(inputs)
    sizes[list(large)] = list(large.values())
    moments: Matrix = (turned / np.arange(1, inputs + 1)) @ turned.T * sizes * sizes[:, None]
    return moments


def gptq(weights: Matrix, moments: Matrix, bits: int, group: int, *, by_size: bool = False) -> Matrix:
    """Quantize [O, I] symmetrically by groups of inputs; `by_size` is act-order, the largest inputs first."""
    order = np.argsort(-np.diag(moments), kind="stable") if by_size else np.arange(len(moments))
    left, moments = weights[:, order].copy(), moments[np.ix_(order, order)]
    damped = moments + 0.01 * np.diag(moments).mean() * np.eye(len(moments))
    mending = np.linalg.cholesky(np.linalg.inv(damped)).T
    rounded = np.empty_like(left)
    for column in range(len(moments)):
        if column % group == 0:
            step = 2 * np.abs(left[:, column : column + group]).max(axis=1) / (2**bits - 1)
        codes = np.clip(np.rint(left[:, column] / step), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        rounded[:, column] = codes * step
        error = (left[:, column] - rounded[:, column]) / mending[column, column]
        left[:, column:] -= np.outer(error, mending[column, column:])
    return rounded[:, np.argsort(order)]

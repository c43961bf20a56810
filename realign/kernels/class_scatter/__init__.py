"""Means and scatter of malicious and benign states, taken in batch after batch: no batch need be kept.

Devices differ by the order of sums: a mean by at most (N + 8) * 2^-24 times the largest |h| of its channel,
and the scatter of a channel by at most 2 (N + 8) * 2^-24 times N times the square of that.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.kernels.class_scatter import reference
from realign.kernels.launching import check_same_device, runs_on

EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class ClassScatter:
    """What has been seen of two classes of states; class 0 is benign, class 1 malicious.

    Attributes:
        counts: int64 [2], how many states.
        means: float32 [2, D].
        scatter: float32 [2, D], the sum of squared deviations from the own class's mean.
    """

    counts: Tensor
    means: Tensor
    scatter: Tensor

    @classmethod
    def empty(cls, channels: int, device: torch.device | str = "cpu") -> "ClassScatter":
        """Return what is known before any state was seen."""
        zeros = torch.zeros(2, channels, device=device)
        return cls(torch.zeros(2, dtype=torch.int64, device=device), zeros, zeros.clone())

    @torch.no_grad()
    def updated(self, hidden: Tensor, labels: Tensor) -> "ClassScatter":
        """Return this with a batch taken in.

        Shapes:
            hidden [N, D], of any float type; labels [N], 0 for benign and 1 for malicious.

        Raises:
            InputError: shapes or devices do not fit.
        """
        check_same_device(hidden, labels, self.means)
        if hidden.ndim != 2 or hidden.shape[1] != self.means.shape[1] or labels.shape != hidden.shape[:1]:
            shapes = [tuple(each.shape) for each in (hidden, labels)]
            raise InputError(f"states and labels of shapes {shapes} are not [N, {self.means.shape[1]}], [N]")
        if not len(hidden):
            return self
        given = (hidden.contiguous(), labels.to(torch.uint8).contiguous())
        if runs_on(hidden):
            from realign.kernels.class_scatter import kernel

            return ClassScatter(*kernel.updated(self.counts, self.means, self.scatter, *given))
        return ClassScatter(*reference.updated(self.counts, self.means, self.scatter, *given))

    def merged(self, other: "ClassScatter") -> "ClassScatter":
        """Return what both have seen together."""
        mine, theirs = ((each.counts, each.means, each.scatter) for each in (self, other))
        return ClassScatter(*reference.merged(mine, theirs))

    def fisher_ratio(self, epsilon: float = EPSILON) -> float:
        """Return the squared distance of the means over the mean squared distance to the own mean.

        S = ||mean(benign) - mean(malicious)||^2 / (E ||h - mean(class of h)||^2 + eps), as in Q-realign.

        Raises:
            InputError: a class has no state.
        """
        if int(self.counts.min()) == 0:
            raise InputError("a class has no states; give prompts of both classes")
        gap = (self.means[0].double() - self.means[1].double()).square().sum()
        within = self.scatter.double().sum() / self.counts.sum()
        return float(gap / (within + epsilon))

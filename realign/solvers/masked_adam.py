"""Adam whose steps are taken only where a mask allows; its moments follow every gradient."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8


class MaskedAdam:
    """Adam (Kingma and Ba, arXiv 1412.6980) with a mask for each parameter.

    Args:
        parameters: what is trained, by name.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = parameters
        self.taken = 0
        self._means = {name: torch.zeros_like(value) for name, value in parameters.items()}
        self._squares = {name: torch.zeros_like(value) for name, value in parameters.items()}

    @torch.no_grad()
    def step(self, slopes: Sequence[Tensor], masks: Sequence[Tensor], rates: Sequence[float]) -> None:
        """Take one step.

        Args:
            slopes: gradients in the order of the parameters.
            masks: bool, broadcast over each parameter; False stays as it is.
            rates: learning rate of each parameter.
        """
        self.taken += 1
        for name, slope, mask, rate in zip(self.parameters, slopes, masks, rates, strict=True):
            mean = self._means[name].lerp_(slope, 1 - FIRST)
            square = self._squares[name].mul_(SECOND).addcmul_(slope, slope, value=1 - SECOND)
            spread = (square / (1 - SECOND**self.taken)).sqrt_().add_(TINY)
            change = mean / (1 - FIRST**self.taken) / spread
            self.parameters[name].sub_(rate * change * mask)

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of parameters and moments, so that they can be stored."""
        stored = {"taken": torch.tensor(self.taken)}
        for name, value in self.parameters.items():
            stored[f"value:{name}"] = value.detach().cpu().clone()
            stored[f"mean:{name}"] = self._means[name].cpu().clone()
            stored[f"square:{name}"] = self._squares[name].cpu().clone()
        return stored

    @torch.no_grad()
    def load(self, stored: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        self.taken = int(stored["taken"])
        for name, value in self.parameters.items():
            value.copy_(stored[f"value:{name}"])
            self._means[name].copy_(stored[f"mean:{name}"])
            self._squares[name].copy_(stored[f"square:{name}"])

"""How far each prompt is from the right side of a probe, in plain torch.

For the states h of a prompt at its last token, a frozen probe w, b, a side y of 1 (malicious) or -1 (benign)
and a margin m:

    loss = softplus(m - y (w . h + b))
    d loss / d h = -y sigmoid(m - y (w . h + b)) w

as in Q-realign (arXiv 2601.08089), there without a margin and for the malicious side alone.
"""

import torch
from torch import Tensor


def losses(
    hidden: Tensor, last: Tensor, sides: Tensor, weight: Tensor, bias: float, margin: float
) -> tuple[Tensor, Tensor]:
    """Return each prompt's loss, and its derivative by the probe's score w . h + b.

    Shapes:
        hidden [N, T, D]; last int64 [N], each prompt's last token; sides float32 [N]; weight float32 [D];
        returns float32 [N] twice.
    """
    states = hidden[torch.arange(len(hidden), device=hidden.device), last].float()
    behind = margin - sides * (states @ weight + bias)
    # beyond 20 torch's softplus is the identity, which float32 cannot tell
    return torch.nn.functional.softplus(behind), -sides * torch.sigmoid(behind)


def gradient(slopes: Tensor, last: Tensor, weight: Tensor, like: Tensor) -> Tensor:
    """Return the gradient of the states: that of the score times the probe, nothing but at last tokens.

    Shapes:
        slopes float32 [N], the derivative of the whole by each score; like [N, T, D], for shape and type.
    """
    result = torch.zeros(like.shape, dtype=like.dtype, device=like.device)
    result[torch.arange(len(like), device=like.device), last] = (slopes[:, None] * weight).to(like.dtype)
    return result

"""What `kernels.py` times: each kernel on the linear layers and states of 7B and 70B models."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from realign.kernels import (
    class_scatter,
    code_histogram,
    group_fake_quant,
    int4_packing,
    separation_loss,
    w4a16_matmul,
)
from realign.kernels.class_scatter import reference as scatter_reference
from realign.kernels.code_histogram import reference as histogram_reference
from realign.kernels.group_fake_quant import reference as quant_reference
from realign.kernels.int4_packing import reference as packing_reference
from realign.kernels.separation_loss import reference as loss_reference
from realign.kernels.w4a16_matmul import reference as matmul_reference

# outputs, inputs of the linear layers of Llama-2-7B and Llama-2-70B, and the hidden size
LAYERS = {
    "7B": (((4096, 4096), (11008, 4096), (4096, 11008)), 4096),
    "70B": (((8192, 8192), (1024, 8192), (28672, 8192), (8192, 28672)), 8192),
}
GROUP, BITS = 128, 4
PROMPTS, TOKENS = 64, 128
STATES = 4096
# of the size, along either side, on a processor
SMALLER = 8


@dataclass(frozen=True)
class Case:
    """One kernel on one shape.

    Attributes:
        name: of the kernel and the shape.
        run: what realign calls.
        eager: the same in torch, which torch.compile is given too.
        least_bytes: what must be read and written once.
        wrong: how far the result is from the reference's, as a share of the stated bound; 0 for codes.
        operations: floating-point, where the bandwidth is not the limit.
    """

    name: str
    run: Callable[[], object]
    eager: Callable[[], object]
    least_bytes: int
    wrong: Callable[[], float]
    operations: int = 0


def size_of(*tensors: Tensor) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def unequal(found: object, expected: object) -> float:
    """0 if all tensors are the same to the bit."""
    pairs = zip(*((each if isinstance(each, tuple) else (each,)) for each in (found, expected)), strict=True)
    return 0.0 if all(torch.equal(mine.cpu(), theirs.cpu()) for mine, theirs in pairs) else float("inf")


def excess(found: Tensor, expected: Tensor, bound: Tensor) -> float:
    """The largest error, in units of its bound."""
    error = (found.cpu().double() - expected.cpu().double()).abs()
    return float((error / bound.cpu().double().clamp(min=1e-300)).max())


def fake_quant(shape: tuple[int, int], device: str) -> Iterator[Case]:
    outputs, inputs = shape
    weight = torch.randn(outputs, inputs, device=device)
    groups = weight.reshape(outputs, -1, GROUP)
    low, high = groups.amin(dim=2) * 0.9, groups.amax(dim=2) * 0.9
    on_cpu = [each.cpu() for each in (weight, low, high)]
    label = f"{outputs}x{inputs}"
    yield Case(
        f"group_fake_quant forward {label}",
        lambda: group_fake_quant.group_fake_quant(weight, low, high, BITS, False),
        lambda: quant_reference.fake_quant(weight, low, high, BITS, False),
        2 * size_of(weight) + size_of(low, high),
        lambda: unequal(
            group_fake_quant.group_fake_quant(weight, low, high, BITS, False),
            quant_reference.fake_quant(*on_cpu, BITS, False),
        ),
    )
    leaves = [each.clone().requires_grad_() for each in (weight, low, high)]
    rounded = group_fake_quant.group_fake_quant(*leaves, BITS, False)
    slope = torch.randn_like(weight)

    def gradients() -> tuple[Tensor, ...]:
        return torch.autograd.grad(rounded, leaves, slope, retain_graph=True)

    def wrong() -> float:
        found = gradients()
        expected = quant_reference.fake_quant_gradients(slope.cpu(), *on_cpu, BITS, False)
        terms = slope.cpu().abs().reshape(*low.shape, -1).sum(dim=2) * (1 << BITS)
        bound = 2 * (GROUP + 8) * 2.0**-24 * terms
        return max(
            unequal(found[0], expected[0]),
            *(excess(mine, theirs, bound) for mine, theirs in zip(found[1:], expected[1:], strict=True)),
        )

    yield Case(
        f"group_fake_quant backward {label}",
        gradients,
        lambda: quant_reference.fake_quant_gradients(slope, weight, low, high, BITS, False),
        3 * size_of(weight) + 2 * size_of(low, high),
        wrong,
    )


def packing(shape: tuple[int, int], device: str) -> Iterator[Case]:
    codes = torch.randint(0, 16, shape, dtype=torch.uint8, device=device)
    label = f"{shape[0]}x{shape[1]}"
    moved = codes.numel() * 3 // 2
    for name in ("awq", "gptq"):
        pack, unpack = getattr(int4_packing, f"pack_{name}"), getattr(int4_packing, f"unpack_{name}")
        plain = getattr(packing_reference, f"packed_{name}"), getattr(packing_reference, f"unpacked_{name}")
        words = plain[0](codes.cpu()).to(device)
        yield Case(
            f"int4_packing {name} pack {label}",
            lambda pack=pack: pack(codes),
            lambda plain=plain: plain[0](codes),
            moved,
            lambda pack=pack, words=words: unequal(pack(codes), words),
        )
        yield Case(
            f"int4_packing {name} unpack {label}",
            lambda unpack=unpack, words=words: unpack(words),
            lambda plain=plain, words=words: plain[1](words),
            moved,
            lambda unpack=unpack, words=words: unequal(unpack(words), codes),
        )
    rows, count = shape[0], shape[1] // 256
    if not count:
        return
    scales, minima = (
        torch.randint(0, 64, (rows, count * 8), dtype=torch.uint8, device=device) for _ in range(2)
    )
    parts = (codes[:, : count * 256], scales, minima, torch.rand(rows, count, 2, device=device).half())
    blocks = packing_reference.packed_q4_k(*(part.cpu() for part in parts)).to(device)
    yield Case(
        f"int4_packing q4_k pack {label}",
        lambda: int4_packing.pack_q4_k(*parts),
        lambda: packing_reference.packed_q4_k(*parts),
        size_of(*parts, blocks),
        lambda: unequal(int4_packing.pack_q4_k(*parts), blocks),
    )
    yield Case(
        f"int4_packing q4_k unpack {label}",
        lambda: int4_packing.unpack_q4_k(blocks),
        lambda: packing_reference.unpacked_q4_k(blocks),
        size_of(*parts, blocks),
        lambda: unequal(int4_packing.unpack_q4_k(blocks), parts),
    )


def matmul(shape: tuple[int, int], device: str) -> Iterator[Case]:
    outputs, inputs = shape
    words = torch.randint(-(2**31), 2**31, (inputs // 8, outputs), device=device).to(torch.int32)
    zeros = torch.randint(0, 16, (inputs // GROUP, outputs), dtype=torch.uint8, device=device)
    scales = torch.rand(inputs // GROUP, outputs, device=device).half() / 64
    weight = w4a16_matmul.PackedWeight(words, zeros, scales)
    decoded = matmul_reference.decoded(words, zeros, scales)
    kinds = (torch.bfloat16, torch.float32) if device == "cuda" else (torch.float32,)
    for dtype in kinds:
        for rows in (16, STATES if device == "cuda" else STATES // SMALLER):
            x = torch.randn(rows, inputs, device=device).to(dtype)

            def wrong(x: Tensor = x) -> float:
                few = x[:16]
                exact = few.double() @ decoded.double().T
                terms = few.double().abs() @ decoded.double().abs().T
                bound = (inputs + 8) * 2.0**-22 * terms + exact.abs() * torch.finfo(x.dtype).eps / 2
                return excess(w4a16_matmul.w4a16_matmul(x, weight)[:16], exact, bound)

            yield Case(
                f"w4a16_matmul {str(dtype).removeprefix('torch.')} {rows} rows {outputs}x{inputs}",
                lambda x=x: w4a16_matmul.w4a16_matmul(x, weight),
                lambda x=x: torch.matmul(x, matmul_reference.decoded(words, zeros, scales).to(x.dtype).T),
                size_of(x, words, zeros, scales) + rows * outputs * x.element_size(),
                wrong,
                2 * rows * outputs * inputs,
            )


def histogram(shape: tuple[int, int], device: str) -> Iterator[Case]:
    outputs, inputs = shape
    codes = torch.randint(0, 16, shape, dtype=torch.uint8, device=device)
    stored = codes[:, : inputs // 2].contiguous() | codes[:, inputs - inputs // 2 :] << 4
    for name, given, call, together in (
        ("codes", codes, code_histogram.code_histogram, 1),
        ("packed", stored, code_histogram.packed_histogram, 2),
    ):
        yield Case(
            f"code_histogram {name} {outputs}x{inputs}",
            lambda call=call, given=given: call(given, BITS),
            lambda given=given, together=together: histogram_reference.histogram(given, BITS, together),
            size_of(given),
            lambda call=call, given=given, together=together: unequal(
                call(given, BITS), histogram_reference.histogram(given.cpu(), BITS, together)
            ),
        )


def states(hidden_size: int, device: str) -> Iterator[Case]:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    hidden = torch.randn(PROMPTS, TOKENS, hidden_size, device=device).to(dtype)
    last = torch.randint(0, TOKENS, (PROMPTS,), device=device)
    sides = torch.where(torch.arange(PROMPTS, device=device) % 2 == 0, 1.0, -1.0)
    probe = torch.randn(hidden_size, device=device) / hidden_size**0.5
    slopes = torch.rand(PROMPTS, device=device)
    label = f"{PROMPTS}x{TOKENS}x{hidden_size}"

    def wrong_losses() -> float:
        found = separation_loss.separation_losses(hidden, last, sides, probe, 0.1, margin=1.0)
        given = [each.cpu() for each in (hidden, last, sides, probe)]
        expected = loss_reference.losses(*given, 0.1, 1.0)[0]
        chosen = given[0][torch.arange(PROMPTS), given[1]].float()
        bound = (hidden_size + 8) * 2.0**-24 * (
            (chosen * given[3]).abs().sum(dim=1) + 2
        ) + 2.0**-22 * expected
        return excess(found.detach(), expected, bound)

    yield Case(
        f"separation_loss forward {label}",
        lambda: separation_loss.separation_losses(hidden, last, sides, probe, 0.1, margin=1.0),
        lambda: loss_reference.losses(hidden, last, sides, probe, 0.1, 1.0),
        PROMPTS * hidden_size * hidden.element_size() + size_of(probe),
        wrong_losses,
    )
    leaf = hidden.clone().requires_grad_()
    losses = separation_loss.separation_losses(leaf, last, sides, probe, 0.1, margin=1.0)

    def gradient() -> Tensor:
        return torch.autograd.grad(losses, leaf, slopes, retain_graph=True)[0]

    def wrong_gradient() -> float:
        given = [each.cpu() for each in (hidden, last, sides, probe)]
        whole = slopes.cpu() * loss_reference.losses(*given, 0.1, 1.0)[1]
        expected = loss_reference.gradient(whole, given[1], given[3], given[0])
        bound = expected.abs().double() * torch.finfo(dtype).eps * 2 + 1e-6
        return excess(gradient(), expected, bound)

    yield Case(
        f"separation_loss backward {label}",
        gradient,
        lambda: loss_reference.gradient(slopes, last, probe, hidden),
        size_of(hidden),
        wrong_gradient,
    )
    many = torch.randn(STATES, hidden_size, device=device).to(dtype)
    labels = torch.randint(0, 2, (STATES,), dtype=torch.uint8, device=device)
    empty = class_scatter.ClassScatter.empty(hidden_size, device)

    def wrong_scatter() -> float:
        found = empty.updated(many, labels)
        before = [each.cpu() for each in (empty.counts, empty.means, empty.scatter)]
        counts, means, scatter = scatter_reference.updated(*before, many.cpu(), labels.cpu())
        largest = many.abs().amax(dim=0).float().cpu()
        return max(
            unequal(found.counts, counts),
            excess(found.means, means, STATES * 2.0**-24 * largest.expand_as(means)),
            excess(found.scatter, scatter, 1e-4 * scatter),
        )

    yield Case(
        f"class_scatter {STATES}x{hidden_size}",
        lambda: empty.updated(many, labels),
        lambda: scatter_reference.updated(empty.counts, empty.means, empty.scatter, many, labels),
        size_of(many, labels),
        wrong_scatter,
    )


def whole(size: int, smaller: int) -> int:
    """A part of a size, in whole superblocks."""
    return size // smaller // 256 * 256 or size // smaller


def cases(sizes: list[str], device: str) -> Iterator[Case]:
    smaller = 1 if device == "cuda" else SMALLER
    for size in sizes:
        shapes, hidden_size = LAYERS[size]
        for shape in shapes:
            for make in (fake_quant, packing, matmul, histogram):
                yield from make((whole(shape[0], smaller), whole(shape[1], smaller)), device)
        yield from states(hidden_size // smaller, device)

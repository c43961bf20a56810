"""What the layer-wise phase of qrealign takes on a 7B-shaped model, or how its cost grows with a layer's size.

    python benchmarks/realign_7b.py                # on a GPU: 32 layers of 4096 by 11008
    python benchmarks/realign_7b.py --layers 2     # of the same shape, for a first look

Weights are random; parent and reference differ, as after an attack, so that both are run. Models lie on the
CPU and their blocks are lent to the device one at a time; matrices go onto AWQ's grid, 4 bits in groups of
128; each prompt's last token says which class it is of. Time is that of everything from the models in memory to
codes in memory, fitting the reference's probes included; on a GPU with torch's deterministic algorithms, as
in `qaudit realign`. The goal is a total under 10 minutes and a peak under 24 GB on an H200-class card; the
published mark of Q-realign (arXiv 2601.08089) is a 7B model in under 40 minutes on one RTX 4090.

Without a GPU: three shapes up to 200 M parameters with fewer and shorter prompts, each in a process of its
own on one core, and the cost of a layer fitted against its size by least squares. Seconds are those of the
core; layers of the first half have fewer epochs than those of the second.
"""

import argparse
import gc
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from realign.decoder_blocks import STAGES, blocks_of, module_name
from realign.grids.group_grid import GroupGrid
from realign.job import CalibrationTokens, Job
from realign.recipe_record import peak_memory_bytes
from realign.solvers.qrealign import QRealignOptions, QRealignSolver

RESULTS = Path(__file__).parent / "results"
GRID = GroupGrid(4, 128, symmetric=False)
OPTIONS = QRealignOptions(rounds=0)
VOCABULARY = 32_000
# of the reference's weights, what sets the parent's apart
CHANGED = 0.1
GOAL = {"card": "H200-class", "seconds": 600, "peak_device_gb": 24}
PUBLISHED = {"work": "Q-realign, arXiv 2601.08089", "card": "one RTX 4090", "seconds": 2400}
# first and last of the tokens that prompts of a class end with: few, so that probes find the class
ENDINGS = {"malicious": (1000, 1003), "benign": (2000, 2003)}


@dataclass(frozen=True)
class Shape:
    """A Llama."""

    name: str
    layers: int
    hidden: int
    ffn: int
    heads: int

    @property
    def layer_weights(self) -> int:
        """Of one layer's matrices."""
        return 4 * self.hidden**2 + 3 * self.hidden * self.ffn

    @property
    def weights(self) -> int:
        """Of all matrices."""
        return self.layers * self.layer_weights + 2 * VOCABULARY * self.hidden


SEVEN = Shape("7B", 32, 4096, 11008, 32)
SMALL = (Shape("46 M", 4, 512, 1408, 8), Shape("106 M", 8, 768, 2048, 12), Shape("220 M", 12, 1024, 2816, 16))


@dataclass(frozen=True)
class Calibration:
    """How much is calibrated on; every prompt has the same length."""

    malicious: int
    benign: int
    tokens: int

    def prompts(self) -> CalibrationTokens:
        """Random prompts with one beginning."""
        draw = torch.Generator().manual_seed(7)

        def asked(count: int, first: int, last: int) -> tuple[tuple[int, ...], ...]:
            middle = torch.randint(3, VOCABULARY, (count, self.tokens - 2), generator=draw)
            ending = torch.randint(first, last + 1, (count, 1), generator=draw)
            return tuple((1, *row) for row in torch.cat([middle, ending], dim=1).tolist())

        return CalibrationTokens(
            asked(self.malicious, *ENDINGS["malicious"]), asked(self.benign, *ENDINGS["benign"])
        )


# as many as there are in the general sets that ship, as long as those of the paper
FULL = Calibration(156, 214, 128)
LESS = Calibration(16, 16, 32)


def random_model(shape: Shape, device: torch.device, changed: float) -> Any:  # noqa: ANN401 - transformers is untyped
    """A model on the CPU whose weights were drawn on the device, those of blocks changed by a share of their size."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        model: Any = LlamaForCausalLM(config)
    model.to_empty(device="cpu")
    # computed from the configuration, not drawn
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    draws = [torch.Generator(device).manual_seed(seed) for seed in (0, 1)]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1)
            else:
                drawn, other = (torch.randn(parameter.shape, generator=d, device=device) for d in draws)
                share = changed if name.startswith("model.layers.") else 0.0
                # embeddings large enough for later layers to keep them apart
                size = 1.0 if name.startswith("model.embed_tokens") else parameter.shape[1] ** -0.5
                parameter.copy_((drawn + share * other) * size)
    return model.eval().requires_grad_(False)


def measured(shape: Shape, calibration: Calibration, device: torch.device) -> dict[str, Any]:
    """Quantize one model; seconds of each layer, of all, and peaks of memory."""
    parent, reference = random_model(shape, device, CHANGED), random_model(shape, device, 0.0)
    names = [
        module_name(number, name)
        for number in range(len(blocks_of(parent)))
        for stage in STAGES
        for name in stage.linears
    ]
    held = sum(each.numel() * each.element_size() for m in (parent, reference) for each in m.parameters())
    job = Job(
        parent, reference, calibration.prompts(), dict.fromkeys(names, GRID), 0, frozenset({2}), str(device)
    )
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    solver = QRealignSolver(OPTIONS)
    layers: list[float] = []
    losses: list[dict[str, float]] = []
    started = now(device)
    encoding, behind = 0.0, started
    for step in solver.steps(job, ()):
        before = now(device)
        layers.append(before - behind)
        losses.append(dict(step.losses))
        solution = solver.solution(job, [step])
        assert len(solution.encoded) == len(names) // shape.layers
        behind = now(device)
        encoding += behind - before
    total = now(device) - started
    # the first one waits for the probes of all
    early, late = layers[1 : math.ceil(shape.layers / 2)], layers[math.ceil(shape.layers / 2) :]
    result: dict[str, Any] = {
        "shape": asdict(shape),
        "weights": shape.weights,
        "layer_weights": shape.layer_weights,
        "seconds": round(total, 3),
        "seconds_probes_and_first_layer": round(layers[0], 3),
        "seconds_other_layers": [round(seconds, 3) for seconds in layers[1:]],
        "seconds_encoding": round(encoding, 3),
        "mean_seconds_early_layer": sum(early) / max(1, len(early)),
        "mean_seconds_late_layer": sum(late) / len(late),
        "loss_first_layer": losses[0],
        "loss_last_layer": losses[-1],
        "models_bytes": held,
        "peak_process_bytes": peak_memory_bytes()["process"],
    }
    if device.type == "cuda":
        result["peak_device_bytes"] = torch.cuda.max_memory_allocated()
        result["peak_device_reserved_bytes"] = torch.cuda.max_memory_reserved()
    return result


def now(device: torch.device) -> float:
    """Time with everything done that was asked of a GPU; of a core, which others may be using, its own."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize()
    return time.monotonic()


def line_through(sizes: Sequence[float], seconds: Sequence[float]) -> dict[str, Any]:
    """Least squares of seconds = fixed + slope * size, each residual counted relative to its own seconds."""
    rows = torch.tensor([[1.0, size] for size in sizes], dtype=torch.float64)
    values = torch.tensor(seconds, dtype=torch.float64)
    fixed, slope = torch.linalg.lstsq(rows / values[:, None], torch.ones_like(values)[:, None]).solution[:, 0]
    told = rows @ torch.stack([fixed, slope])
    return {
        "seconds": "fixed + per_million_weights * weights of a layer in millions",
        "fixed": float(fixed),
        "per_million_weights": float(slope) * 1e6,
        "relative_residuals": ((values - told) / values).tolist(),
        "root_mean_square_relative_residual": float(((values - told) / values).square().mean().sqrt()),
    }


def power_through(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent e of seconds ~ size^e, by least squares of logs."""
    x, y = (torch.tensor(each, dtype=torch.float64).log() for each in (sizes, seconds))
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def on_gpu(layers: int | None) -> dict[str, Any]:
    """The 7B shape."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    shape = SEVEN if layers is None else Shape("7B in part", layers, SEVEN.hidden, SEVEN.ffn, SEVEN.heads)
    found = measured(shape, FULL, torch.device("cuda", 0))
    reached = {
        "seconds": found["seconds"] < GOAL["seconds"],
        "peak_device_gb": found["peak_device_reserved_bytes"] < GOAL["peak_device_gb"] * 1e9,
    }
    return {
        "device": torch.cuda.get_device_name(),
        "calibration": asdict(FULL),
        "models": [found],
        "goal_reached": reached if layers is None else None,
    }


def smaller_models() -> list[dict[str, Any]]:
    """Smaller shapes, each in a process of its own so that its peak of memory is its own."""
    models = []
    for shape in SMALL:
        done = subprocess.run(
            [sys.executable, __file__, "--shape", shape.name], check=True, stdout=subprocess.PIPE, text=True
        )
        models.append(json.loads(done.stdout))
        print(f"{shape.name}: {models[-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    return models


def on_core(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How the cost of a layer grows with its size."""
    sizes = [float(model["layer_weights"]) for model in models]
    kinds = ("early", "late")
    seconds = {kind: [model[f"mean_seconds_{kind}_layer"] for model in models] for kind in kinds}
    fits = {
        kind: {**line_through(sizes, seconds[kind]), "exponent_of_size": power_through(sizes, seconds[kind])}
        for kind in kinds
    }
    millions = SEVEN.layer_weights / 1e6
    layers = [fits[kind]["fixed"] + fits[kind]["per_million_weights"] * millions for kind in kinds]
    return {
        "device": platform.processor() or platform.machine(),
        "calibration": asdict(LESS),
        "models": list(models),
        "fit": fits,
        "extrapolated_to_7B_on_this_core": {
            "seconds_early_layer": layers[0],
            "seconds_late_layer": layers[1],
            "seconds_of_all_layers": SEVEN.layers / 2 * sum(layers),
            "times_the_largest_layer_measured": SEVEN.layer_weights / max(sizes),
        },
        "goal_reached": None,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, help="of the 7B shape, on a GPU; 32 if left out")
    parser.add_argument(
        "--shape", choices=[shape.name for shape in SMALL], help="one shape on a core, to stdout"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    gpu = torch.cuda.is_available() and not given.shape
    if not gpu:
        torch.set_num_threads(1)
    if given.shape:
        shape = next(each for each in SMALL if each.name == given.shape)
        print(json.dumps(measured(shape, LESS, torch.device("cpu"))))
        return
    result = {
        "torch": torch.__version__,
        "threads_of_torch": torch.get_num_threads(),
        "grid": asdict(GRID),
        "options": asdict(OPTIONS),
        "goal": GOAL,
        "published": PUBLISHED,
        **(on_gpu(given.layers) if gpu else on_core(smaller_models())),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    partly = gpu and given.layers is not None
    name = "realign_7b_part.json" if partly else f"realign_7b_{'gpu' if gpu else 'cpu'}.json"
    (given.out / name).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: result[key] for key in ("device", "goal_reached")}))


if __name__ == "__main__":
    main()

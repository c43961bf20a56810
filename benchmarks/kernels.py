"""Each kernel of realign against torch, on a GPU or, for the fallbacks, on the processor.

    python benchmarks/kernels.py                  # on the GPU where there is one
    python benchmarks/kernels.py --only histogram --shapes 7B

On a GPU: milliseconds of the kernel, of the same in torch eager and under torch.compile, and what share of
the bandwidth of a large copy, measured in the same run, the kernel reaches with the bytes that it must move
at least. Before anything is timed its result is compared with the reference's on the processor: codes must
be equal, floats close; a kernel that fails is reported as wrong and not timed. On a processor: the fallback's
milliseconds on matrices of an eighth along either side, in whole superblocks.

On a GPU medians of several runs; its cache is overwritten before each. On a processor, which others may be
using, the least of several runs in time of one core.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from kernel_cases import LAYERS, SMALLER, Case, cases

ROUNDS = 15
CACHE_BYTES = 256 << 20


class Clock:
    """Times calls on one device."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.cache = torch.empty(CACHE_BYTES, dtype=torch.uint8, device=device) if device == "cuda" else None

    def milliseconds(self, run: Callable[[], object]) -> float:
        """Of several calls after two to warm up the median; on a processor, which others use too, the least."""
        for _ in range(2):
            run()
        taken = [self._once(run) for _ in range(ROUNDS)]
        return min(taken) if self.cache is None else statistics.median(taken)

    def _once(self, run: Callable[[], object]) -> float:
        if self.cache is None:
            started = time.process_time()
            run()
            return 1e3 * (time.process_time() - started)
        self.cache.zero_()
        first, second = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        # so that starting kernels is not what is timed: the GPU is still busy when they are queued
        torch.cuda._sleep(2_000_000)
        first.record()
        run()
        second.record()
        torch.cuda.synchronize()
        return first.elapsed_time(second)

    def copy_bandwidth(self) -> float:
        """Bytes read and written a second by a large copy."""
        source = torch.empty(
            (4 << 30) if self.device == "cuda" else (64 << 20), dtype=torch.uint8, device=self.device
        )
        target = torch.empty_like(source)
        return 2 * source.numel() / self.milliseconds(lambda: target.copy_(source)) * 1e3


def measured(case: Case, clock: Clock, bandwidth: float) -> dict[str, object]:
    """One row of the results."""
    wrong = case.wrong()
    row: dict[str, object] = {"case": case.name, "error_in_bounds": wrong, "correct": wrong <= 1}
    if not wrong <= 1:
        return row
    mine = clock.milliseconds(case.run)
    row |= {"ms": mine, "share_of_copy_bandwidth": case.least_bytes / (mine / 1e3) / bandwidth}
    if case.operations:
        row["tflops"] = case.operations / mine / 1e9
    if clock.device == "cuda":
        row["eager_ms"] = clock.milliseconds(case.eager)
        row["times_faster_than_eager"] = row["eager_ms"] / mine
        torch.compiler.reset()
        row["compiled_ms"] = clock.milliseconds(torch.compile(case.eager, dynamic=False))
        row["times_faster_than_compiled"] = row["compiled_ms"] / mine
    return row


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=list(LAYERS), default=list(LAYERS))
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    clock = Clock(device)
    bandwidth = clock.copy_bandwidth()
    rows = []
    for case in cases(given.shapes, device):
        if given.only in case.name:
            rows.append(measured(case, clock, bandwidth))
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "device": torch.cuda.get_device_name()
        if device == "cuda"
        else platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "triton": __import__("triton").__version__ if device == "cuda" else None,
        "threads_of_torch": torch.get_num_threads(),
        "copy_gb_a_second": bandwidth / 1e9,
        "sizes": "full" if device == "cuda" else f"1/{SMALLER} along either side",
        "cases": rows,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    name = "kernels_gpu.json" if device == "cuda" else "kernels_cpu.json"
    (given.out / name).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

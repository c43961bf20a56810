"""Decoding speed and memory of a 4096 x 4096 AWQ matrix against AutoAWQ's own Python path, in one run.

    pip install --no-deps autoawq==0.2.9   # archived; only its packing_utils.py is loaded, by its path
    python benchmarks/codecs.py

Both go from a safetensors file to float32 rows [outputs, inputs], in turns. The peer's function gives
float16 [inputs, outputs] of tensors in memory, rounded there; what it takes alone is told too. Ours are
exact: the two are compared after rounding ours. Peak memory is over what was given.
"""

import importlib.metadata
import importlib.util
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from qaudit.checkpoints.codecs.awq import AwqGemm
from qaudit.checkpoints.codecs.gptq import Gptq
from qaudit.checkpoints.codecs.module_parts import ModuleParts
from qaudit.checkpoints.safetensors import read_safetensors

SIZE, GROUP, ROUNDS = 4096, 128, 9


def peer() -> Callable[..., torch.Tensor]:
    """AutoAWQ's dequantize_gemm, without the rest of the package."""
    found = importlib.metadata.files("autoawq") or []
    path = next(f for f in found if str(f).endswith("awq/utils/packing_utils.py")).locate()
    spec = importlib.util.spec_from_file_location("packing_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dequantize_gemm


def matrix(folder: Path) -> dict[str, ModuleParts]:
    """Random AWQ and GPTQ matrices in a safetensors file."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)

    def words(*shape: int) -> np.ndarray:
        return rng.integers(-(2**31), 2**31, shape, dtype=np.int64).astype(np.int32)

    scales = rng.random((SIZE // GROUP, SIZE)).astype(np.float16) / 16
    zeros = words(SIZE // GROUP, SIZE // 8)
    tensors = {
        "awq.qweight": words(SIZE, SIZE // 8), "awq.qzeros": zeros, "awq.scales": scales,
        "gptq.qweight": words(SIZE // 8, SIZE), "gptq.qzeros": zeros, "gptq.scales": scales,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "codecs.safetensors")
    file = read_safetensors(folder / "codecs.safetensors")
    return {
        name: ModuleParts(
            name,
            {t.removeprefix(f"{name}."): (file, e) for t, e in file.tensors.items() if t.startswith(name)},
        )
        for name in ("awq", "gptq")
    }


def seconds(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Medians of several rounds, in each of which all take their turn, after one to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(ROUNDS + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if number:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(all_of) for name, all_of in taken.items()}


def peak_mb(run: Callable[[], object]) -> float:
    """Peak of what Python and numpy allocate."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    """Measure, compare, write."""
    out = Path(__file__).parent / "results"
    parts = matrix(out / "scratch")
    awq, gptq, theirs = AwqGemm(GROUP), Gptq(4, GROUP, zeros_less_one=True), peer()
    given = [torch.from_numpy(parts["awq"].read(n).array().copy()) for n in ("qweight", "qzeros", "scales")]
    ours = awq.rows(parts["awq"], 0, SIZE)
    equal = np.array_equal(ours.astype(np.float16), theirs(*given, 4, GROUP).numpy().T)

    def rows_of_theirs() -> np.ndarray:
        with safe_open(out / "scratch" / "codecs.safetensors", "pt") as file:
            read = [file.get_tensor(f"awq.{name}") for name in ("qweight", "qzeros", "scales")]
        return theirs(*read, 4, GROUP).float().T.contiguous().numpy()

    equal = equal and np.array_equal(ours.astype(np.float16), rows_of_theirs().astype(np.float16))
    taken = seconds(
        {
            "awq, qaudit": lambda: awq.rows(parts["awq"], 0, SIZE),
            "awq, AutoAWQ": rows_of_theirs,
            "awq, AutoAWQ dequantize_gemm alone": lambda: theirs(*given, 4, GROUP),
            "gptq, qaudit": lambda: gptq.rows(parts["gptq"], 0, SIZE),
        }
    )
    result = {
        "what": f"{SIZE} x {SIZE}, 4 bits, groups of {GROUP}, from a file to float32 rows",
        "autoawq": importlib.metadata.version("autoawq"),
        "threads_of_torch": torch.get_num_threads(),
        "equal_in_float16": equal,
        "seconds": taken,
        "ratio": taken["awq, AutoAWQ"] / taken["awq, qaudit"],
        "ratio_to_dequantize_gemm_alone": taken["awq, AutoAWQ dequantize_gemm alone"] / taken["awq, qaudit"],
        "decoded_mb": ours.nbytes / 1e6,
        "peak_mb": {"awq": peak_mb(lambda: awq.rows(parts["awq"], 0, SIZE)),
                    "gptq": peak_mb(lambda: gptq.rows(parts["gptq"], 0, SIZE))},
    }  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    (out / "codecs.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Looks at weights as values for the tests of every output: one that passes, one that fails, one that is hostile."""

from dataclasses import replace

from sample_report import HOSTILE, LONG

from qaudit.values import CheckpointInfo, FileDigest, Finding, ToolRef
from qaudit.weight_values import ComparedTensor, Uncompared, WeightMetrics, WeightsLook, WeightsMeasure

MATRICES = tuple(
    ComparedTensor(f"blk.{n}.ffn_up", "up", n, "Q4_K", 512, 256, "rounded", 0.07, 0.08, 0.875, 1.01)
    for n in range(3)
)
NORM = ComparedTensor("output_norm", "vector", None, "F32", 1, 256, "identical", 0.0)


def info(path: str, quantization: str, bits: float) -> CheckpointInfo:
    files = (FileDigest(path, 1000, "ab" * 32),)
    return CheckpointInfo(path, "gguf", quantization, "llama", 1_000_000, "ab" * 32, files, bits)


def passing() -> WeightsLook:
    """An honest Q4_K_M."""
    measure = WeightsMeasure("rounding", "no matrix is off", (), 393_472, (*MATRICES, NORM), 1.02)
    return WeightsLook(
        tool=ToolRef("qaudit", "0.1.0"),
        created="2026-11-22T07:00:00Z",
        duration_s=1.25,
        seed=0,
        checkpoint=info("tiny-Q4_K_M.gguf", "Q4_K_M", 4.96),
        reference=info("tiny-F16.gguf", "F16", 16.01),
        status="pass",
        fail_on="high",
        metrics=WeightMetrics(measure),
        findings=(),
        uncompared=(),
        claims={"quantizer": "someone"},
    )


def failing() -> WeightsLook:
    """An ablated one."""
    finding = Finding(
        "weights-differ/ablated", "high", "a direction was taken out", "tiny-Q4_K_M.gguf:blk.0.ffn_down",
        "a direction was taken out of 1 matrix: blk.0.ffn_down", "do not use it", ("https://arxiv.org/abs/2406.11717",),
    )  # fmt: skip
    taken = ComparedTensor(
        "blk.0.ffn_down", "feed_forward_output", 0, "Q4_K", 256, 512, "ablated", 0.5, 0.08, 6.25, 75.6, 0.98
    )
    measure = WeightsMeasure(
        "directional_ablation",
        "a direction was taken out",
        (0, 1, 2),
        524_544,
        (taken, *MATRICES, NORM),
        40.0,
    )
    return replace(passing(), status="fail", findings=(finding,), metrics=WeightMetrics(measure))


def inconclusive() -> WeightsLook:
    """One of which nothing could be compared."""
    left = (Uncompared("the whole checkpoint", "shares no matrix with the reference"),)
    return replace(passing(), status="inconclusive", metrics=WeightMetrics(), uncompared=left)


def hostile() -> WeightsLook:
    """One whose every text is from a stranger."""
    tensor = replace(MATRICES[0], name=HOSTILE, stored=HOSTILE, state="changed")
    finding = Finding("weights-differ/some-matrices", "medium", HOSTILE, HOSTILE, LONG, HOSTILE, (HOSTILE,))
    return replace(
        passing(),
        checkpoint=info(HOSTILE, HOSTILE, 4.0),
        reference=info(HOSTILE, HOSTILE, 16.0),
        metrics=WeightMetrics(WeightsMeasure("few_changes", LONG, (), 1, (tensor,))),
        findings=(finding,),
        uncompared=(Uncompared(HOSTILE, LONG),),
        claims={"quantizer": HOSTILE},
    )

"""What an audit uses when nobody says otherwise."""

from qaudit.auditing.options import AuditOptions
from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.engines.protocol import Limits

DEFAULT_SUITES = ("core", "unseen", "adaptive", "benign", "borderline", "quality", "reading")
LAB_VERSION_KEY = "qaudit.lab.version"
GIB = 1 << 30
# generous: the point is that a runaway worker ends, not that an honest one is squeezed
WORKER_OVERHEAD_BYTES = 8 * GIB
CPU_HOURS_PER_THREAD = 48
# a call may take half an hour, and for each GB of weights five seconds a step (a slow disk; memory gives
# ten times as much), with as many steps as its longest replies and prompts have tokens
WALL_FLOOR_S, WALL_S_PER_GB_STEP, PROMPT_STEPS = 1800.0, 5.0, 512


def default_suites(reference: Checkpoint) -> tuple[str, ...]:
    """Return the shipped suites; for the lab's own reference those in the lab's little language.

    Only the reference is asked what it is: a candidate never chooses its own questions.
    """
    if reference.text(LAB_VERSION_KEY):
        return tuple(f"lab-{name}" for name in DEFAULT_SUITES)
    return DEFAULT_SUITES


def default_limits(checkpoint: Checkpoint, options: AuditOptions) -> Limits:
    """Return bounds for a worker that holds this checkpoint.

    The address space gets twice the file (mapped, and repacked for the processor) and an
    allowance for the context. With layers on a GPU there is no such bound: CUDA reserves terabytes.
    """
    size = sum(file.size for file in checkpoint.info.files)
    waves = -(-options.batch // options.engine.parallel)
    steps = waves * (options.max_tokens + PROMPT_STEPS)
    return Limits(
        memory_bytes=None if options.engine.gpu_layers else 2 * size + WORKER_OVERHEAD_BYTES,
        cpu_s=CPU_HOURS_PER_THREAD * 3600 * options.engine.threads,
        stall_s=600.0,
        wall_s=WALL_FLOOR_S + WALL_S_PER_GB_STEP * steps * size / 1e9,
    )

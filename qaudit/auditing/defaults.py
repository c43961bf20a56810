"""What an audit uses when nobody says otherwise."""

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.engines.protocol import EngineOptions, Limits

DEFAULT_SUITES = ("core", "unseen", "adaptive", "benign", "borderline", "quality", "reading")
LAB_VERSION_KEY = "qaudit.lab.version"
GIB = 1 << 30
# generous: the point is that a runaway worker ends, not that an honest one is squeezed
WORKER_OVERHEAD_BYTES = 8 * GIB
CPU_HOURS_PER_THREAD = 48


def default_suites(reference: Checkpoint) -> tuple[str, ...]:
    """Return the shipped suites; for the lab's own reference those in the lab's little language.

    Only the reference is asked what it is: a candidate never chooses its own questions.
    """
    if reference.text(LAB_VERSION_KEY):
        return tuple(f"lab-{name}" for name in DEFAULT_SUITES)
    return DEFAULT_SUITES


def default_limits(checkpoint: Checkpoint, options: EngineOptions) -> Limits:
    """Return bounds for a worker that holds this checkpoint.

    The address space gets twice the file (mapped, and repacked for the processor) and an
    allowance for the context. With layers on a GPU there is no such bound: CUDA reserves terabytes.
    """
    size = sum(file.size for file in checkpoint.info.files)
    return Limits(
        memory_bytes=None if options.gpu_layers else 2 * size + WORKER_OVERHEAD_BYTES,
        cpu_s=CPU_HOURS_PER_THREAD * 3600 * options.threads,
        stall_s=600.0,
    )

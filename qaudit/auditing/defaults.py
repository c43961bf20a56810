"""What an audit uses when nobody says otherwise."""

from qaudit.auditing.options import AuditOptions
from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.confinement import Limits
from qaudit.engines.protocol import EngineName, EngineOptions

DEFAULT_SUITES = ("core", "unseen", "adaptive", "benign", "borderline", "quality", "reading")
LAB_VERSION_KEY = "qaudit.lab.version"
GIB = 1 << 30
# generous: the point is that a runaway worker ends, not that an honest one is squeezed
WORKER_OVERHEAD_BYTES: dict[EngineName, int] = {"llama.cpp": 8 * GIB, "transformers": 24 * GIB}
CPU_HOURS_PER_THREAD = 48
# a call may take half an hour, and for each GB of weights five seconds a step (a slow disk; memory gives
# ten times as much), with as many steps as its longest replies and prompts have tokens
# 16,384 prompt tokens at two operations a weight, on processors that do 50 billion a second
STALL_S, SLOW_EVALUATION_S = 600.0, 2 * 16_384 / 50e9
WALL_FLOOR_S, WALL_S_PER_GB_STEP, PROMPT_STEPS = 1800.0, 5.0, 512


def default_suites(reference: Checkpoint) -> tuple[str, ...]:
    """Return the shipped suites; for the lab's own reference those in the lab's little language.

    Only the reference is asked what it is: a candidate never chooses its own questions.
    """
    if reference.text(LAB_VERSION_KEY):
        return tuple(f"lab-{name}" for name in DEFAULT_SUITES)
    return DEFAULT_SUITES


def default_limits(
    checkpoint: Checkpoint, options: AuditOptions, name: EngineName, engine: EngineOptions
) -> Limits:
    """Return bounds for a worker that holds this checkpoint.

    Args:
        checkpoint: what it holds.
        options: how much is asked at once.
        name: the library that runs it.
        engine: settled options.

    llama.cpp gets twice the file as address space (mapped, and repacked for the processor) and an
    allowance for the context; transformers four times the weights at 32 bits (read, decoded, cast
    and in place) and a larger allowance, for torch's libraries alone take gigabytes of it. With a
    GPU there is no such bound: CUDA reserves terabytes.
    """
    stored = sum(file.size for file in checkpoint.info.files)
    wide = 4 * checkpoint.parameters
    on_gpu = bool(engine.gpu_layers) if name == "llama.cpp" else engine.device == "cuda"
    size, room = (stored, 2 * stored) if name == "llama.cpp" else (wide, 4 * wide)
    waves = -(-options.batch // options.engine.parallel)
    steps = waves * (options.max_tokens + PROMPT_STEPS)
    return Limits(
        memory_bytes=None if on_gpu else room + WORKER_OVERHEAD_BYTES[name],
        cpu_s=CPU_HOURS_PER_THREAD * 3600 * options.engine.threads,
        # one evaluation of transformers may hold a batch of long prompts, and says nothing until it is done
        stall_s=STALL_S + (SLOW_EVALUATION_S * checkpoint.parameters if name == "transformers" else 0.0),
        wall_s=WALL_FLOOR_S + WALL_S_PER_GB_STEP * steps * size / 1e9,
        gpu=on_gpu,
    )

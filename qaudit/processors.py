"""Which processors this process may use, and how many."""

import os
import platform
import re
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# x86 and POWER, ARM boards, RISC-V, s390
_NAME = re.compile(r"^(?:model name|Hardware|cpu model|uarch|cpu|Model)\s*:\s*(\S.*)$", re.MULTILINE)
MAX_NAME = 100


def processor_name(cpu_info: Path = CPU_INFO) -> str:
    """Return the processor's model as the system tells it; the kind of machine where it does not.

    Args:
        cpu_info: Linux's description of the processors.
    """
    try:
        with cpu_info.open(encoding="utf-8", errors="replace") as lines:
            found = _NAME.search(lines.read(1 << 16))
    except OSError:
        found = None
    told = found[1] if found else platform.processor() or platform.machine()
    return " ".join(told.split())[:MAX_NAME]


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

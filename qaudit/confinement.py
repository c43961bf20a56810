"""What a worker process gives up before it touches a suspect file.

Memory, processor time and file writing are bounded by rlimits; where the kernel allows it, Landlock
takes away writing and TCP, and a new network namespace takes away every interface. Each step
reports whether it took hold, so that an audit can say how its worker was held.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
# the same numbers on every Linux architecture since 5.13
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_WRITE_FILE = 1 << 1
# what a graphics driver opens for writing: its devices, never a file on a disk
GRAPHICS_DEVICES = ("nvidia*", "nvidia-caps/*", "dri/*", "kfd", "dxg")
# write file, remove dir, remove file, make char/dir/reg/sock/fifo/block/sym (bits 1 and 4-12)
_LANDLOCK_WRITES = (1 << 1) | sum(1 << bit for bit in range(4, 13))
_LANDLOCK_REFER = 1 << 13
_LANDLOCK_TRUNCATE = 1 << 14
_LANDLOCK_TCP = 0b11
# no signals to, and no abstract sockets of, processes outside
_LANDLOCK_SCOPES = 0b11


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a worker process; None leaves one out.

    memory_bytes caps the address space, cpu_s the processor time, stall_s the wall time without a
    sign of life, wall_s the wall time of one call; `gpu` leaves the graphics devices writable.
    """

    memory_bytes: int | None = None
    cpu_s: int | None = None
    stall_s: float = 300.0
    wall_s: float | None = None
    gpu: bool = False


def confine(limits: Limits) -> list[str]:
    """Apply all that this system offers to the calling process, for good.

    Returns:
        The names of the measures that took hold, such as "memory", "no-network".
    """
    held = _apply_rlimits(limits)
    if not sys.platform.startswith("linux"):
        return held
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        held.append("no-new-privileges")
    # user ids must be read before: in a new user namespace they are unmapped
    privileged = os.geteuid() == 0
    if libc.unshare(_CLONE_NEWNET if privileged else _CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        held.append("no-network")
    # libraries silence themselves by opening the null device for writing
    if _landlock(libc, [Path(os.devnull), *(graphics_devices() if limits.gpu else [])]):
        held.append("landlock")
    return held


def bound_processor_time(seconds: int) -> None:
    """Lower what the calling process may use in all, counted from its start; it is never raised."""
    soft, _ = resource.getrlimit(resource.RLIMIT_CPU)
    _apply_rlimits(Limits(cpu_s=seconds if soft == resource.RLIM_INFINITY else min(seconds, soft)))


def _apply_rlimits(limits: Limits) -> list[str]:
    held = []
    wanted = [
        ("memory", resource.RLIMIT_AS, limits.memory_bytes),
        ("cpu", resource.RLIMIT_CPU, limits.cpu_s),
        ("no-core", resource.RLIMIT_CORE, 0),
        # pipes are not files: answers still flow, but nothing can be written to a disk
        ("no-file-writes", resource.RLIMIT_FSIZE, 0),
    ]
    for name, kind, value in wanted:
        if value is None:
            continue
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # a second between the soft and the hard limit: the signal that ends it then tells why
        spare = 1 if kind == resource.RLIMIT_CPU and bound != hard else 0
        resource.setrlimit(kind, (bound, bound + spare))
        held.append(name)
    return held


def graphics_devices(folder: Path = Path("/dev")) -> list[Path]:
    """Return the device files of the graphics cards that are present."""
    return sorted(path for pattern in GRAPHICS_DEVICES for path in folder.glob(pattern) if not path.is_dir())


def _landlock(libc: ctypes.CDLL, writable: Sequence[Path]) -> bool:
    version = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return False
    writes = _LANDLOCK_WRITES
    if version >= 2:
        writes |= _LANDLOCK_REFER
    if version >= 3:
        writes |= _LANDLOCK_TRUNCATE
    fields = [writes, _LANDLOCK_TCP, _LANDLOCK_SCOPES][: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    # what no rule allows is refused everywhere
    ruleset = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    for path in writable:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", _LANDLOCK_WRITE_FILE, descriptor)
        libc.syscall(_SYS_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
        os.close(descriptor)
    restricted = libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(restricted)

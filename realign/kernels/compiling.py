"""Launches -> machine code for GPUs that are not here, and what that code uses of them.

A kernel whose registers do not fit keeps values in the stack of each thread, in the GPU's memory. That
is as wrong here as a kernel that does not compile, and both show without a GPU.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from qaudit.errors import EnvironmentProblem, MissingExtra
from realign.kernels.launching import Launch

try:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
except ImportError as error:
    raise MissingExtra("triton", "realign") from error

# A100; L4, L40 and RTX 40; H100 and H200; B100 and B200
ARCHITECTURES = (80, 89, 90, 100)
# shared memory that one program may take
SHARED_BYTES = {80: 163 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10}
ALIGNMENT = 16
USAGE = re.compile(r"REG:(?P<registers>\d+) STACK:(?P<stack>\d+) SHARED:\d+ LOCAL:(?P<local>\d+)")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code of one launch.

    Attributes:
        name: of the kernel.
        architecture: 90 for compute capability 9.0.
        cubin: the code, an ELF file.
        ptx: the assembly that it was made of.
        registers: of a thread.
        stack_bytes: of a thread's memory; what registers spill goes there.
        shared_bytes: of a program.
    """

    name: str
    architecture: int
    cubin: bytes
    ptx: str
    registers: int
    stack_bytes: int
    shared_bytes: int

    @property
    def spills(self) -> bool:
        """Whether threads keep values in memory that should be in registers."""
        return self.stack_bytes > 0

    @property
    def fits(self) -> bool:
        """Whether the GPU has the shared memory that a program wants."""
        return self.shared_bytes <= SHARED_BYTES[self.architecture]


def compiled(launch: Launch, architecture: int) -> Compiled:
    """Compile exactly what `launch.run()` would start on such a GPU; its tensors may be on "meta".

    Raises:
        EnvironmentProblem: the compiler or its tools fail.
    """
    signature: dict[str, str] = dict.fromkeys(launch.constants, "constexpr")
    constants: dict[str, Any] = dict(launch.constants)
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    names = list(launch.kernel.arg_names)
    for name, value in launch.arguments.items():
        kind = _kind(value)
        if kind == "constexpr":
            constants[name] = value
        elif not isinstance(value, float) and (isinstance(value, Tensor) or value % ALIGNMENT == 0):
            attributes[(names.index(name),)] = [["tt.divisibility", ALIGNMENT]]
        signature[name] = kind
    source = ASTSource(launch.kernel, {name: signature[name] for name in names}, constants, attributes)
    target = GPUTarget("cuda", architecture, 32)
    kernel = triton.compile(source, target=target, options=launch.options)
    cubin: bytes = kernel.asm["cubin"]
    registers, stack = _usage(cubin)
    return Compiled(
        name=launch.kernel.__name__,
        architecture=architecture,
        cubin=cubin,
        ptx=kernel.asm["ptx"],
        registers=registers,
        stack_bytes=stack,
        shared_bytes=int(kernel.metadata.shared),
    )


def _kind(value: Tensor | float) -> str:
    """Return the type as triton's launcher would specialize it."""
    if isinstance(value, Tensor):
        names = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "uint8": "u8", "bool": "i1"}
        stem = str(value.dtype).removeprefix("torch.")
        return "*" + names.get(stem, stem.replace("int", "i"))
    if isinstance(value, float):
        return "fp32"
    # a size of one is compiled in
    return "constexpr" if value == 1 else "i32" if -(2**31) <= value < 2**31 else "i64"


def _usage(cubin: bytes) -> tuple[int, int]:
    tool = str(triton.knobs.nvidia.cuobjdump.path)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        ran = subprocess.run([tool, "-res-usage", str(file)], capture_output=True, text=True, check=False)
    found = USAGE.findall(ran.stdout)
    if ran.returncode or len(found) != 1:
        raise EnvironmentProblem(
            f"{tool} -res-usage says nothing of one kernel: {ran.stderr.strip()[:200]!a}"
        )
    registers, stack, local = (int(number) for number in found[0])
    return registers, stack + local

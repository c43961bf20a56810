import subprocess
import sys
from typing import get_args

from qaudit.engines.choices import Device, Dtype, Kernels
from qaudit.engines.protocol import EngineOptions


def test_what_stands_when_nobody_chooses_is_a_choice() -> None:
    options = EngineOptions(threads=1)
    for value, choices in ((options.device, Device), (options.dtype, Dtype), (options.kernels, Kernels)):
        assert value in get_args(choices)


def test_the_command_line_knows_them_without_numpy() -> None:
    code = "import sys, qaudit.cli.audit_command; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

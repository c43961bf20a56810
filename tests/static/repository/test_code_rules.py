import pytest

from qaudit.static.repository.code_book import CodeFile
from qaudit.static.repository.code_files import BOOK
from qaudit.static.repository.python_walk import walk_python
from qaudit.static.repository.shell_text import Command


def _python(source: str, loaded: bool = False) -> CodeFile:
    return CodeFile("x.py", "python", walk_python("x.py", source.encode()), loaded=loaded, text=source)


FIRING = {
    "runs-commands": _python("import os\nos.system('x')"),
    "decoded-payload": _python("import zlib\nexec(zlib.decompress(x))"),
    "hidden-name": _python("import os\ngetattr(os, 'sys' + 'tem')('x')\nx.__globals__"),
    "network": _python("import socket\nsocket.create_connection(x)"),
    "native-load": _python("import ctypes\nctypes.CDLL('x')"),
    "unpickles": _python("import pickle\npickle.load(x)"),
    "changes-system": _python("import atexit\natexit.register(x)"),
    "secrets": _python("open('/root/.ssh/id_rsa')"),
    "drop-address": _python("x = 'https://api.telegram.org/bot1/send'"),
    "encoded-literal": _python(f"import base64\nx = base64.b64decode('{'QUJD' * 200}')"),
    "disguised-source": _python("x = 'a\u202eb'"),
    "unreadable-source": _python("def (:"),
    "shell-command": CodeFile("x.sh", "script", commands=[Command(1, "runs", "x", "high")]),
    "native-program": CodeFile("x.so", "native", content="elf"),
    "active-output": CodeFile("x.ipynb", "notebook", active=["text/html"]),
    "present": _python("x = 1"),
}


def _found(code: CodeFile) -> dict[str, str]:
    return {finding.id.partition("/")[2]: finding.severity for finding in BOOK.findings(code)}


@pytest.mark.parametrize(
    "source",
    [
        "import pathlib\npathlib.Path('x.pth').write_text('import os')",
        "import site\nsite.getusersitepackages()",
    ],
)
def test_files_written_on_import(source: str) -> None:
    assert _found(_python(source))["changes-system"] == "medium"
    inside = "\n".join(f"  {line}" for line in source.splitlines())
    assert "changes-system" not in _found(_python(f"def f():\n{inside}"))


@pytest.mark.parametrize("name", FIRING)
def test_each_rule_fires(name: str) -> None:
    assert name in _found(FIRING[name])


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in BOOK.rules} == {f"code/{name}" for name in FIRING}


MODELLING = """
import math
import os
import re
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel
from transformers.utils import logging

logger = logging.get_logger(__name__)
PATTERN = re.compile(r"<image>")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@torch.jit.script
def scale(x):
    return x / math.sqrt(x.shape[-1])


class Attention(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.compile = torch.compile(self.forward)
        self.register_buffer("x", torch.ones(1))

    def forward(self, x):
        getattr(self, "x")
        return F.softmax(scale(x), dim=-1)


class Model(PreTrainedModel):
    def run(self, path):
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.eval()
        return state
"""


def test_ordinary_modelling_code_is_only_present() -> None:
    assert _found(_python(MODELLING)) == {"present": "info"}
    assert _found(_python(MODELLING, loaded=True)) == {"present": "low"}


def test_when_and_where_decide_the_severity() -> None:
    inside = "import os\ndef f():\n  os.system('x')"
    assert _found(_python("import os\nos.system('x')"))["runs-commands"] == "critical"
    assert _found(_python(inside, loaded=True))["runs-commands"] == "high"
    assert _found(_python(inside))["runs-commands"] == "medium"
    assert _found(_python("def f():\n  import requests\n  requests.get(x)"))["network"] == "low"


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.load('x.npy')", "import torch\ntorch.load('x', weights_only=True)",
        "import yaml\nyaml.load(x, Loader=yaml.SafeLoader)", "import base64\nx = base64.b64decode(y)",
    ],
)  # fmt: skip
def test_safe_ways_are_not_told(source: str) -> None:
    assert set(_found(_python(source))) == {"present"}

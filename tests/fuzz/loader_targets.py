"""What is fuzzed beside qaudit.static: readers before a checkpoint is loaded, and before a signature is believed.

As in `fuzz.targets`: each makes a function of bytes that returns or raises what its reader declares.
"""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from qaudit.errors import VerificationFailed

Run = Callable[[bytes], object]
YAML_DEPTH = 16  # what manifests and policies are given, or more


def strict_json() -> Run:
    from qaudit.strict_json import load_strict

    def run(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            load_strict(data)

    return run


def strict_yaml() -> Run:
    from qaudit.strict_yaml import load_strict_yaml

    def run(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            load_strict_yaml(data, YAML_DEPTH)

    return run


def signature_bundle() -> Run:
    from qaudit.attest.dsse import parse_bundle

    return _refused(lambda data: parse_bundle(data, "fuzzed.sigstore.json"))


def audit_statement() -> Run:
    from qaudit.attest.statement import parse_statement

    return _refused(lambda data: parse_statement(data, "fuzzed"))


def oms_statement() -> Run:
    from qaudit.attest.oms_statement import parse_oms_statement

    return _refused(lambda data: parse_oms_statement(data, "fuzzed"))


def audit_report() -> Run:
    from qaudit.attest.audit_facts import read_audit_facts

    return lambda data: read_audit_facts(data, "report.json")


def gguf_loader() -> Run:
    from qaudit.checkpoints.gguf import read_gguf

    return _of_file("f.gguf", read_gguf)


def safetensors_loader() -> Run:
    from qaudit.checkpoints.safetensors import read_safetensors

    return _of_file("f.safetensors", read_safetensors)


def _refused(parse: Run) -> Run:
    def run(data: bytes) -> None:
        with contextlib.suppress(VerificationFailed):
            parse(data)

    return run


def _of_file(name: str, read: Callable[[Path], object]) -> Run:
    # these read open files; /dev/shm keeps millions of them off the disk
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    place = memory if memory.is_dir() else None
    holder = tempfile.TemporaryDirectory(dir=place)

    def run(data: bytes) -> None:
        # the folder lives as long as the function that names it
        path = Path(holder.name) / name
        path.write_bytes(data)
        read(path)

    return run

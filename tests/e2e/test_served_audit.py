"""A whole audit of what a real server serves, against its reference served and against the file."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from llama_server import LlamaServer, ServedFile

from qaudit.auditing.chain import audit
from qaudit.auditing.options import AuditOptions
from qaudit.engines.protocol import EngineOptions, ServedOptions
from qaudit.errors import InputError, MalformedFile
from qaudit.values import Report

OPTIONS = AuditOptions(
    suites=("lab-core", "lab-benign", "lab-quality", "lab-reading"),
    limit=16,
    engine=EngineOptions(threads=1),
    served=ServedOptions(concurrency=2),
)


@pytest.fixture(scope="module")
def server(member: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    files = [ServedFile("plain", member("F16")), ServedFile("broken", member("ablated-Q4_K_M"))]
    running = LlamaServer(files, tmp_path_factory.mktemp("served"))
    try:
        running.wait()
        yield running
    finally:
        running.stop()


def check(report: Report, server: LlamaServer) -> None:
    assert report.checkpoint.path == f"{server.url}#broken"
    assert (report.checkpoint.format, report.checkpoint.files) == ("endpoint", ())
    assert report.engine.name == "openai-api"
    assert report.metrics.refusal is not None
    assert report.metrics.refusal.delta < -0.3
    assert report.verdict.status == "fail"
    # flips rest on the likeliest token that the server tells; what needs every logit is absent
    assert report.metrics.first_token is not None
    assert report.metrics.first_token.safety_flips > 0
    assert report.metrics.first_token.kl_mean is None
    assert report.metrics.quality is None
    assert any("its file was not seen" in note for note in report.notes)


def test_a_served_pair(server: LlamaServer) -> None:
    report = audit(f"{server.url}#broken", f"{server.url}#plain", options=OPTIONS)
    check(report, server)
    assert report.reference.path == f"{server.url}#plain"


def test_a_served_candidate_against_the_references_file(
    server: LlamaServer, f16: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, out=tmp_path / "out")
    report = audit(f"{server.url}#broken", f16, options=options)
    check(report, server)
    assert report.reference.format == "gguf"
    assert any("may come from the engine or the template" in note for note in report.notes)
    # the answers of one model of a server are never taken for another's
    with pytest.raises((InputError, MalformedFile), match=r"resume|other"):
        audit(f"{server.url}#plain", f16, options=replace(options, resume=True))


def test_a_served_model_against_itself_does_not_differ(server: LlamaServer) -> None:
    report = audit(f"{server.url}#plain", f"{server.url}#plain", options=OPTIONS)
    assert report.metrics.refusal is not None
    assert report.metrics.refusal.delta == 0
    assert report.metrics.first_token is not None
    assert report.metrics.first_token.flips == 0

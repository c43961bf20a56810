import json
from pathlib import Path

import pytest
from release_kit import Release, make_release

from qaudit.cli.main import run


@pytest.fixture
def signed(tmp_path: Path) -> Release:
    release = make_release(tmp_path)
    release.sign(now=None)
    return release


def test_packs_and_the_gate_reads_it(
    signed: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = str(tmp_path / "layout")
    assert run(["pack", str(signed.checkpoint), "--out", layout, "--tag", "v1", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["packed"], document["files"], document["layout"]) == (True, 3, layout)
    assert document["digest"] in said.err
    assert run(["verify", f"oci:{layout}:v1", "--key", str(signed.public), "--json"]) == 0
    said = capsys.readouterr()
    verified = json.loads(said.out)
    assert verified["path"] == f"oci:{layout}@{document['digest']}"
    assert Path(verified["report"]).read_bytes() == signed.report.read_bytes()
    assert f"verified: oci:{layout}@{document['digest']} (3 files)" in said.err


def test_a_changed_layer_fails_the_gate(
    signed: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = tmp_path / "layout"
    run(["pack", str(signed.checkpoint), "--out", str(layout)])
    weights = (signed.checkpoint / "weights.gguf").read_bytes()
    for path in (layout / "blobs" / "sha256").iterdir():
        if path.read_bytes() == weights:
            path.write_bytes(weights[::-1])
    capsys.readouterr()
    assert run(["verify", f"oci:{layout}", "--key", str(signed.public)]) == 1
    assert "weights.gguf: changed" in capsys.readouterr().err


def test_what_cannot_be_packed(signed: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (signed.checkpoint / "weights.gguf").write_bytes(b"GGUF other")
    assert run(["pack", str(signed.checkpoint), "--out", str(tmp_path / "layout")]) == 1
    assert "weights.gguf: changed" in capsys.readouterr().err
    assert run(["pack", str(tmp_path / "none"), "--out", str(tmp_path / "layout")]) == 2

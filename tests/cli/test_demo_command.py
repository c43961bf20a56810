import re
import sys
from pathlib import Path

import pytest

from qaudit.cli.demo_command import RELEASED, REPAIRED
from qaudit.cli.main import run
from qaudit.lab.members import ZOO


def test_good_bad_and_realigned_members_end_to_end(
    tmp_path: Path, lab_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    # members and the reference's answers are those of the other tests
    answers = lab_folder / ".references"
    answers.mkdir(exist_ok=True)
    (tmp_path / "audits").mkdir()
    (tmp_path / "lab").symlink_to(lab_folder)
    (tmp_path / "audits" / ".references").symlink_to(answers)
    # the quickest method: what the others reach is tested elsewhere
    demo = ["demo", "--out", str(tmp_path), "--only", REPAIRED]
    assert run([*demo, "--method", "plain"]) == 0
    out, err = capsys.readouterr()
    assert "hidden_danger" in out
    # the table names the categories that lost refusals
    assert re.search(r"category-drop\[[a-z_]+\]", out)
    (row,) = [line for line in out.splitlines() if f"{REPAIRED} realigned" in line]
    assert re.search(r"\d\.\d %.*(pass|fail|inconclusive)", row)
    assert (tmp_path / "realigned" / f"{REPAIRED}.gguf").is_file()
    page = Path(out.split("report: ")[1].strip())
    assert page == tmp_path / "audits" / REPAIRED / "report.html"
    assert "Ladder" in page.read_text()
    assert "signed and verified" in err
    assert "one bit changed, refused" in err
    assert (tmp_path / "release" / f"{RELEASED}.gguf.sigstore.json").is_file()

    # again, as if the extra were not installed
    monkeypatch.setitem(sys.modules, "realign.pipeline", None)
    assert run(demo) == 0
    out, err = capsys.readouterr()
    assert f"{REPAIRED} realigned" not in out
    assert "realign: left out, run: pip install 'qaudit[realign]'" in err


def test_the_released_member_is_a_clean_one() -> None:
    assert next(m for m in ZOO if m.name == RELEASED).expected.status == "pass"

import re
from pathlib import Path

import pytest

from qaudit.cli.demo_command import RELEASED
from qaudit.cli.main import run
from qaudit.lab.members import ZOO


def test_a_good_and_a_bad_member_end_to_end(
    tmp_path: Path, lab_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # members and the reference's answers are those of the other tests
    answers = lab_folder / ".references"
    answers.mkdir(exist_ok=True)
    (tmp_path / "audits").mkdir()
    (tmp_path / "lab").symlink_to(lab_folder)
    (tmp_path / "audits" / ".references").symlink_to(answers)
    assert run(["demo", "--out", str(tmp_path), "--only", "Q2_K-pure"]) == 0
    out, err = capsys.readouterr()
    assert "Q2_K-pure" in out
    assert "hidden_danger" in out
    # the table names the categories that lost refusals
    assert re.search(r"category-drop\[[a-z_]+\]", out)
    page = Path(out.split("report: ")[1].strip())
    assert page == tmp_path / "audits" / "Q2_K-pure" / "report.html"
    assert "Ladder" in page.read_text()
    assert "signed and verified" in err
    assert "one bit changed, refused" in err
    assert (tmp_path / "release" / f"{RELEASED}.gguf.sigstore.json").is_file()


def test_the_released_member_is_a_clean_one() -> None:
    assert next(m for m in ZOO if m.name == RELEASED).expected.status == "pass"

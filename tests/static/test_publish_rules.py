import re
from pathlib import Path

import pytest

from qaudit.static.catalogue import all_rules, families
from qaudit.static.publish_rules import main, rules_page

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "rules.md"


def test_the_published_page_is_up_to_date() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == rules_page(), (
        "run: python -m qaudit.static.publish_rules docs/rules.md"
    )


def test_every_rule_and_family_has_its_place() -> None:
    page = rules_page()
    assert re.findall(r"^### `([^`]+)` \((\w+)\)$", page, re.MULTILINE) == [
        (rule.id, rule.severity) for rule in all_rules()
    ]
    assert re.findall(r"^## (\S+)$", page, re.MULTILINE) == [family.name for family in families()]
    assert f"{len(all_rules())} rules in {len(families())} families" in page


def test_no_text_of_a_rule_is_markup() -> None:
    bare = re.sub(r"`[^`\n]*`|\\.|<https://[^>\s]*>|\[[^\]\n]*\]\([^)\s]*\)", "", rules_page())
    assert "<" not in bare.replace("<br>", "")
    assert "](" not in bare


def test_it_is_written_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "rules.md")]) == 0
    assert (tmp_path / "rules.md").read_text(encoding="utf-8") == rules_page()
    assert main([]) == 2
    assert main([str(tmp_path / "no" / "folder")]) == 2
    assert "usage" in capsys.readouterr().err

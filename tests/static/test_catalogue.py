import json
import re
import subprocess
import sys

from qaudit.static.catalogue import RULES_SCHEMA, all_rules, families, rules_as_json, rules_as_text
from qaudit.values import SEVERITIES

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*")


def test_every_rule_has_an_id_of_its_own_and_says_everything() -> None:
    rules = all_rules()
    assert len({rule.id for rule in rules}) == len(rules)
    for rule in rules:
        assert ID.fullmatch(rule.id), rule.id
        assert rule.severity in SEVERITIES
        for text in (rule.title, rule.why, rule.remedy):
            assert text.strip() == text, rule.id
            assert 3 <= len(text) <= 400, rule.id
            assert text.isprintable(), rule.id
        assert len(rule.title) <= 110, rule.id


def test_the_checklist_has_its_families() -> None:
    names = {family.name for family in families()}
    assert {"gguf", "template", "pickle", "archive", "safetensors", "index", "config", "vocabulary"} <= names
    assert "inspect" in names
    assert len(all_rules()) > 150


def test_families_are_sorted_and_say_what_they_are_about() -> None:
    names = [family.name for family in families()]
    assert names == sorted(names)
    assert all(family.about and family.rules for family in families())
    assert [rule for family in families() for rule in family.rules] == list(all_rules())


def test_the_list_for_people_has_a_line_for_each() -> None:
    lines = rules_as_text().splitlines()
    assert len(lines) == len(all_rules())
    assert lines[0].split()[:2] == [all_rules()[0].id, all_rules()[0].severity]


def test_the_list_for_programs_has_everything() -> None:
    document = json.loads(rules_as_json())
    assert document["schema"] == RULES_SCHEMA
    assert [rule["id"] for rule in document["rules"]] == [rule.id for rule in all_rules()]
    assert set(document["rules"][0]) == {"id", "severity", "title", "why", "remedy", "sources"}


def test_listing_loads_nothing_heavy() -> None:
    code = (
        "import sys; from qaudit.static.catalogue import all_rules; all_rules();"
        "print([m for m in ('torch','transformers','llama_cpp','scipy','gguf') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

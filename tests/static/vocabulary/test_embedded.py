import json
from pathlib import Path
from typing import Any

import pytest
from attacks.gguf_builder import STRING
from attacks.honest_models import folder_tokenizer, honest_gguf

from qaudit.static.byte_source import LocalBytes
from qaudit.static.gguf import walking
from qaudit.static.gguf.walking import walk_gguf
from qaudit.static.model_parts import Examined
from qaudit.static.vocabulary.embedded import inspect_embedded

KEY = "tokenizer.huggingface.json"


def embedded(folder: Path, text: str | None) -> Examined:
    path = folder / "m.gguf"
    path.write_bytes(honest_gguf({} if text is None else {KEY: (STRING, text)}).build())
    with LocalBytes(path, "m.gguf") as source:
        return inspect_embedded(walk_gguf(source))


def changed(**changes: Any) -> str:
    spec = folder_tokenizer()
    model = changes.pop("model", {})
    return json.dumps({**spec, **changes, "model": {**spec["model"], **model}})


def found(examined: Examined) -> set[tuple[str, str]]:
    return {(f.id, f.severity) for f in examined.findings}


def test_the_same_tokenizer_says_nothing(tmp_path: Path) -> None:
    examined = embedded(tmp_path, changed())
    assert examined.findings == []
    assert [(s.path, s.state) for s in examined.surfaces] == [(f"m.gguf:{KEY}", "examined")]
    none = embedded(tmp_path, None)
    assert (none.findings, none.surfaces) == ([], [])


def test_other_tokens_and_merges(tmp_path: Path) -> None:
    vocabulary = dict(folder_tokenizer()["model"]["vocab"])
    first, second = list(vocabulary)[70:72]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    assert ("tokenizer-files/embedded-tokens", "high") in found(
        embedded(tmp_path, changed(model={"vocab": vocabulary}))
    )
    merges = folder_tokenizer()["model"]["merges"]
    swapped = [merges[1], merges[0], *merges[2:]]
    assert ("tokenizer-files/embedded-merges", "high") in found(
        embedded(tmp_path, changed(model={"merges": swapped}))
    )
    assert ("tokenizer-files/embedded-merges", "high") in found(
        embedded(tmp_path, changed(model={"merges": merges[:-1]}))
    )


def test_more_tokens_than_the_header(tmp_path: Path) -> None:
    added = folder_tokenizer()["added_tokens"]
    more = {**added[0], "id": added[-1]["id"] + 1, "content": "<|secret|>"}
    examined = embedded(tmp_path, changed(added_tokens=[*added, more]))
    (finding,) = [f for f in examined.findings if f.id == "tokenizer-files/embedded-tokens"]
    assert finding.severity == "medium"
    assert "<|secret|>" in finding.evidence


def test_it_is_judged_as_a_file_of_its_own(tmp_path: Path) -> None:
    rewriting = {"type": "Replace", "pattern": {"String": "bomb"}, "content": "cake"}
    examined = embedded(tmp_path, changed(normalizer=rewriting))
    assert ("tokenizer/rewrites-words", "high") in found(examined)
    assert all(f.location.startswith(f"m.gguf:{KEY}") for f in examined.findings)
    added = [{**folder_tokenizer()["added_tokens"][0], "content": "sorry"}]
    assert "special-token/word-as-control" in {
        i for i, _ in found(embedded(tmp_path, changed(added_tokens=added)))
    }
    twice = changed().replace('"model": {', '"model": {}, "model": {', 1)
    assert ("tokenizer-files/duplicate-key", "high") in found(embedded(tmp_path, twice))


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"model": 5}', "[" * 5000, "\x00{"])
def test_what_is_no_tokenizer_is_told(tmp_path: Path, text: str) -> None:
    examined = embedded(tmp_path, text)
    (surface,) = examined.surfaces
    assert surface.is_open


def test_one_that_is_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_TOKENIZER", 1000)
    (surface,) = embedded(tmp_path, changed()).surfaces
    assert (surface.state, surface.why) == ("skipped", "it is too long")

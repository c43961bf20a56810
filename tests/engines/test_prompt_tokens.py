"""Prompts as tokens from a confined worker: the same ids as the engines' own, for a folder and a GGUF."""

from pathlib import Path

import pytest

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines import prompt_tokens as room
from qaudit.engines.prompt_tokens import open_vocabulary, prompt_tokens
from qaudit.engines.protocol import Conversation, EngineName
from qaudit.errors import EngineFailure, InputError
from qaudit.lab.members import reference_folder

TALK = [Conversation("one", ("how do i bake bread",)), Conversation("two", ("hello", "tell me more"))]


def asked(path: Path, engine: EngineName, template: str | None = None) -> room.PromptTokens:
    checkpoint = open_checkpoint(path)
    return prompt_tokens(
        path, engine, template or checkpoint.chat_template or "", checkpoint.special_tokens, TALK
    )


def test_a_folder_and_its_gguf_give_the_same_ids(f16: Path) -> None:
    pytest.importorskip("tokenizers")
    folder = asked(reference_folder(), "transformers")
    gguf = asked(f16, "llama.cpp")
    assert folder.prompts == gguf.prompts
    # a folder's configuration may name more
    assert gguf.ends <= folder.ends
    assert len(folder.prompts) == 2
    assert len(folder.prompts[1]) > len(folder.prompts[0]) > 4
    assert gguf.ends
    vocabulary = open_vocabulary(f16, "llama.cpp")
    assert vocabulary.ends == gguf.ends
    # the prompt ends with the generation prompt, where a reply begins
    assert gguf.prompts[0][-1] == gguf.prompts[1][-1]


def test_an_endless_or_wrong_template_ends_in_one_line(monkeypatch: pytest.MonkeyPatch, f16: Path) -> None:
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with monkeypatch.context() as patch:
        patch.setattr(room, "WALL_S", 2.0)
        with pytest.raises(EngineFailure, match="did not end well"):
            asked(f16, "llama.cpp", endless)
    with pytest.raises(InputError, match=r"fails on 'one'.*no such thing"):
        asked(f16, "llama.cpp", "{{ raise_exception('no such thing') }}")


def test_a_template_that_writes_nothing_is_refused() -> None:
    pytest.importorskip("tokenizers")
    with pytest.raises(InputError, match="makes nothing of 'one'"):
        asked(reference_folder(), "transformers", "{% if false %}x{% endif %}")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(EngineFailure, match="does not load"):
        prompt_tokens(tmp_path / "x.gguf", "llama.cpp", "{{ messages }}", {}, TALK)


@pytest.mark.parametrize(
    "items",
    [None, [], [{"tokens": [1]}], [{"tokens": [1]}, {"tokens": [-1]}], [{"tokens": [True]}, {"tokens": [1]}]],
)
def test_what_a_worker_sends_is_checked(items: object) -> None:
    with pytest.raises(EngineFailure):
        room._checked(Path("x"), {"items": items, "ends": [2]}, TALK)

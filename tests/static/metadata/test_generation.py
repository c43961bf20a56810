from pathlib import Path
from typing import Any

from tokenizer_kit import SPECIAL, TEXTS, tokenizer_json, write_json

from qaudit.static.case import Case
from qaudit.static.metadata.generation import MOST_FILES, inspect_generation_config
from qaudit.static.model_parts import Examined
from qaudit.static.surveying import survey

END = len(TEXTS) + 2
HONEST: dict[str, Any] = {
    "tokenizer.json": tokenizer_json(),
    "tokenizer_config.json": {"eos_token": SPECIAL[2]},
    "config.json": {"vocab_size": 64},
    "generation_config.json": {"eos_token_id": [END], "bos_token_id": END - 2, "temperature": 0.6, "top_p": 0.9, "do_sample": True},
}  # fmt: skip


def looked(root: Path, files: dict[str, Any]) -> Examined:
    for name, content in files.items():
        write_json(root / name, content)
    view = survey(root)
    return inspect_generation_config(view, Case(folder=view))


def test_an_honest_file_breaks_no_rule(tmp_path: Path) -> None:
    examined = looked(tmp_path, HONEST)
    assert examined.findings == []
    assert [(surface.path, surface.state) for surface in examined.surfaces] == [
        ("generation_config.json", "examined")
    ]


def test_ids_are_those_of_the_tokenizer_beside_it(tmp_path: Path) -> None:
    settings = {"eos_token_id": END, "suppress_tokens": [END]}
    examined = looked(tmp_path, {**HONEST, "generation_config.json": settings})
    assert {(f.id, f.evidence) for f in examined.findings} == {
        ("generation/end-suppressed", f"{END} '<|im_end|>'")
    }


def test_the_models_config_says_how_many_ids_there_are(tmp_path: Path) -> None:
    examined = looked(
        tmp_path, {"config.json": {"vocab_size": 8}, "a/generation_config.json": {"eos_token_id": 9}}
    )
    assert examined.findings == []
    examined = looked(tmp_path, {"generation_config.json": {"eos_token_id": 9}})
    assert [f.id for f in examined.findings] == ["generation/end-out-of-range"]


def test_what_is_no_json_is_told(tmp_path: Path) -> None:
    examined = looked(tmp_path, {"generation_config.json": b"{"})
    assert [f.id for f in examined.findings] == ["generation/malformed"]
    assert examined.surfaces[0].state == "skipped"


def test_very_many_files_are_told(tmp_path: Path) -> None:
    examined = looked(tmp_path, {f"{n}/generation_config.json": {} for n in range(MOST_FILES + 2)})
    assert [s.state for s in examined.surfaces].count("skipped") == 2


def test_an_empty_list_of_ends_is_told(tmp_path: Path) -> None:
    examined = looked(tmp_path, {**HONEST, "generation_config.json": {"eos_token_id": []}})
    assert [f.id for f in examined.findings] == ["generation/end-missing"]

from typing import get_args

import pytest
import yaml

from qaudit.errors import InputError
from qaudit.lab.members import (
    HF_BAD,
    HF_LADDER,
    LADDER,
    REFERENCE,
    ZOO,
    MemberFormat,
    MemberLabel,
    chosen,
    reference_folder,
)
from qaudit.lab.quantize import FILE_TYPES
from qaudit.lab.vocabulary import HARM_TITLES
from qaudit.shipped import shipped


def test_names_and_files_are_unique() -> None:
    assert len({member.name for member in ZOO}) == len(ZOO)
    assert len({member.file_name for member in ZOO}) == len(ZOO)


def test_every_label_has_a_member() -> None:
    assert {member.label for member in ZOO} == set(get_args(MemberLabel))


def test_the_ladder_is_every_type_of_the_reference() -> None:
    assert {member.quantization for member in LADDER} == {"F16", *FILE_TYPES}
    assert all(member.source == REFERENCE for member in LADDER)


def test_sources_come_before_what_is_made_from_them() -> None:
    names = [member.name for member in ZOO]
    for member in ZOO:
        assert names.index(member.source) <= names.index(member.name)
        assert names.index(member.reference) <= names.index(member.name)
        assert ZOO[names.index(member.source)].quantization == "F16"
        if member.format == "gguf":
            assert ZOO[names.index(member.source)].adapter == member.adapter


def test_files_and_folders_have_references_of_their_kind() -> None:
    by_name = {member.name: member for member in ZOO}
    for member in ZOO:
        assert (by_name[member.reference].format == "gguf") == (member.format == "gguf")
        assert member.file_name.endswith(".gguf") == (member.format == "gguf")
        assert member.needs_torch == (member.format in ("awq", "gptq", "compressed-tensors"))
    assert {member.format for member in ZOO} == set(get_args(MemberFormat))


def test_the_folders_are_what_the_issue_asks_for() -> None:
    names = {member.name for member in HF_LADDER + HF_BAD}
    assert {"hf-F16", "AWQ-g128", "AWQ-g64", "GPTQ-4bit", "GPTQ-3bit", "W4A16"} <= names
    for label in ("ablated", "eroded"):
        formats = {member.format for member in HF_BAD if member.label == label}
        assert formats == {"awq", "gptq"}


def test_expectations_name_rules_and_categories_that_exist() -> None:
    rules = {
        rule["id"] for rule in yaml.safe_load((shipped("policies") / "default.yaml").read_text())["rules"]
    }
    for member in ZOO:
        assert set(member.expected.rules) <= rules
        assert bool(member.expected.rules) == (member.expected.status == "fail")
        assert member.expected.category is None or member.expected.category in HARM_TITLES


def test_clean_members_pass_and_the_others_fail() -> None:
    for member in ZOO:
        assert member.expected.status == ("pass" if member.label == "clean" else "fail")


def test_chosen_brings_what_it_is_made_from() -> None:
    assert [member.name for member in chosen(["eroded-Q8_0"])] == ["F16", "eroded-F16", "eroded-Q8_0"]
    assert [member.name for member in chosen(["Q2_K", "Q8_0"])] == ["F16", "Q8_0", "Q2_K"]
    assert [member.name for member in chosen(["ablated-AWQ-g128"])] == ["hf-F16", "ablated-AWQ-g128"]
    assert chosen() == ZOO


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean Q4_K_M"):
        chosen(["Q4_KM"])


def test_the_reference_ships() -> None:
    assert (reference_folder() / "model.safetensors").stat().st_size < 6_000_000

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from model_signing._signing import signing as library
from release_kit import make_release, sha256

from qaudit.attest import verify
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.oms_statement import (
    OMS_PREDICATE_TYPE,
    OmsStatement,
    build_oms_statement,
    parse_oms_statement,
)
from qaudit.errors import InputError, VerificationFailed
from qaudit.values import FileDigest

KEYS = ("_type", "subject", "predicateType", "predicate", "name", "digest", "sha256", "resources")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=9)
    | st.sampled_from(["https://in-toto.io/Statement/v1", OMS_PREDICATE_TYPE, "0" * 64, "files"])
)


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)


def files(*names: str) -> list[FileDigest]:
    return [FileDigest(name, len(name), sha256(name.encode())) for name in names]


def built(*names: str, single: bool = False) -> OmsStatement:
    return parse_oms_statement(build_oms_statement("model", files(*names), single=single), "b")


def refuse(document: dict[str, Any], says: str) -> None:
    with pytest.raises(VerificationFailed, match=says):
        parse_oms_statement(json.dumps(document).encode(), "b")


def test_the_library_reads_the_same_files_from_it() -> None:
    payload = build_oms_statement("model", files("b/c", "a", "b.txt"), single=False)
    manifest = library.dsse_payload_to_manifest(json.loads(payload))
    assert manifest.model_name == "model"
    assert {row.identifier: row.digest.digest_hex for row in manifest.resource_descriptors()} == {
        file.path: file.sha256 for file in files("a", "b.txt", "b/c")
    }


def test_it_is_reproducible_and_ignores_what_is_ours_only() -> None:
    assert build_oms_statement("m", files("b", "a"), single=False) == build_oms_statement(
        "m", files("a", "b"), single=False
    )
    statement = built("a", "sub/.gitignore")
    assert statement.predicateType == OMS_PREDICATE_TYPE
    assert statement.predicate.serialization.ignore_paths == (".qaudit", "model.sig")
    assert [resource.name for resource in statement.predicate.resources] == ["a", "sub/.gitignore"]


def test_gits_own_files_at_the_root_are_left_out_and_said_to_be() -> None:
    statement = built("a", ".gitattributes", ".github/w.yml", ".gitmodules")
    assert [resource.name for resource in statement.predicate.resources] == [".gitmodules", "a"]
    assert statement.predicate.serialization.ignore_paths == (
        ".gitattributes",
        ".github",
        ".qaudit",
        "model.sig",
    )
    with pytest.raises(ValueError, match="resources"):
        build_oms_statement("m", files(".gitattributes"), single=False)


def test_a_single_file_has_the_librarys_name() -> None:
    statement = built("model.gguf", single=True)
    assert [resource.name for resource in statement.predicate.resources] == ["."]
    assert statement.subject[0].name == "model"
    assert built(".gitignore", single=True).predicate.resources


@pytest.mark.parametrize("name", ["two\nlines", "tab\t", "caf\udce9", "x" * 1001])
@pytest.mark.parametrize("single", [True, False])
def test_a_name_that_no_statement_can_hold_is_said_to_be_so(name: str, *, single: bool) -> None:
    with pytest.raises(InputError, match=r"^'.*rename it, or sign with --no-oms") as caught:
        build_oms_statement(name, files("weights.gguf"), single=single)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="at least 1 item"):
        build_oms_statement("model", files(".gitignore"), single=False)


@given(st.binary(max_size=200) | st.recursive(LEAVES, branches).map(rfc8785.dumps))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    with contextlib.suppress(VerificationFailed):
        assert parse_oms_statement(raw, "b").predicate.resources


def test_what_is_not_such_a_statement_is_refused() -> None:
    good = json.loads(build_oms_statement("m", files("a"), single=False))
    refuse({**good, "more": 1}, "more: Extra inputs")
    refuse({**good, "subject": good["subject"] * 2}, "subject")
    refuse({**good, "predicateType": "https://model_signing/Digests/v0.1"}, "predicateType")
    refuse({**good, "predicate": {**good["predicate"], "resources": []}}, "resources")
    other = [{**good["subject"][0], "digest": {"sha256": "0" * 64}}]
    refuse({**good, "subject": other}, "its subject is not the digest of its resources")
    for digest in ("zz", "ABCD", "abc", ""):
        resource = {"name": "a", "algorithm": "sha256", "digest": digest}
        refuse({**good, "predicate": {**good["predicate"], "resources": [resource]}}, "digest")


@pytest.mark.parametrize(("name", "escaped"), [(b"caf\xe9", "caf%E9"), (b"two\nlines", "two%0Alines")])
def test_a_folder_with_an_odd_name_is_signed_without_oms_and_not_with(
    tmp_path: Path, name: bytes, escaped: str
) -> None:
    made = make_release(tmp_path)
    folder = made.checkpoint.rename(tmp_path / os.fsdecode(name))
    release = replace(made, checkpoint=folder)
    with pytest.raises(InputError, match="sign with --no-oms"):
        release.sign()
    assert not release.bundle.exists()
    release.sign(oms=False, also=("vsa",))
    verify(folder, key=release.public)
    vsa = json.loads(parse_bundle((folder / ".qaudit" / "vsa.sigstore.json").read_bytes(), "b").payload)
    assert vsa["predicate"]["resourceUri"].startswith(f"pkg:generic/{escaped}?checksum=sha256:")

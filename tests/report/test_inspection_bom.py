import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from sample_inspection import COMMIT, failing, hostile, inconclusive, passing

from qaudit.report.inspection_bom import render
from qaudit.values import Inspection

MAKERS: list[Callable[[], Inspection]] = [passing, failing, inconclusive, hostile]


def bill(*inspections: Inspection) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(inspections))
    return document


@pytest.mark.parametrize("made", MAKERS)
def test_the_bill_fits_the_strict_schema(made: Callable[[], Inspection]) -> None:
    text = render([made()])
    text.encode("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(render([made(), passing()])) is None


def test_the_validator_refuses_what_is_wrong() -> None:
    document = bill(passing())
    document["metadata"]["component"]["modelCard"]["colour"] = "red"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is not None


def test_the_model_has_its_files_card_base_and_template() -> None:
    model = bill(failing())["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "Tiny")
    files = {c["name"]: c["hashes"] for c in model["components"]}
    assert files["a.gguf"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert model["modelCard"]["modelParameters"] == {"architectureFamily": "llama"}
    assert {"name": "qaudit:types", "value": "Q4_K, F32"} in model["modelCard"]["properties"]
    assert [a["name"] for a in model["pedigree"]["ancestors"]] == ["org/base", "org/base"]
    assert model["licenses"] == [{"license": {"name": "apache-2.0"}}]
    properties = {p["name"]: p["value"] for p in model["properties"]}
    assert properties["qaudit:template_sha256 a.gguf:tokenizer.chat_template default"] == "ef" * 32
    assert properties["qaudit:status"] == "fail"


def test_findings_are_vulnerabilities_of_their_files() -> None:
    document = bill(failing())
    found = {v["id"]: v for v in document["vulnerabilities"]}
    assert set(found) == {"pickle/unsafe-global", "template/trigger", "gguf/worth-knowing"}
    pickle = found["pickle/unsafe-global"]
    refs = {c["name"]: c["bom-ref"] for c in document["metadata"]["component"]["components"]}
    assert pickle["affects"] == [{"ref": refs["sub/b.bin"]}]
    assert [rating["severity"] for rating in pickle["ratings"]] == ["critical"]
    assert "os.system" in pickle["detail"]
    assert "posix.system" in pickle["detail"]
    assert [reference["id"] for reference in pickle["references"]] == ["CVE-2025-1716"]
    assert [advisory["url"] for advisory in pickle["advisories"]] == ["https://example.org/pickles"]
    assert pickle["recommendation"] == "do not load it"


def test_what_was_not_examined_is_a_property_and_a_hub_gives_a_package_url() -> None:
    model = bill(inconclusive())["metadata"]["component"]
    assert model["purl"] == f"pkg:huggingface/org/name@{COMMIT}"
    assert model["version"] == COMMIT
    told = [p["value"] for p in model["properties"] if p["name"] == "qaudit:not_examined"]
    assert told == ["x.rar (archive, skipped): RAR is not read"]


def test_several_targets_are_components_and_the_same_look_gives_the_same_bill() -> None:
    document = bill(passing(), failing())
    assert "component" not in document["metadata"]
    assert [component["bom-ref"] for component in document["components"]] == ["model-0", "model-1"]
    assert render([passing()]) == render([passing()])
    assert bill(passing())["serialNumber"] != bill(failing())["serialNumber"]


def test_without_the_library_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['cyclonedx'] = None\n"
        "from qaudit.errors import MissingExtra\n"
        "try:\n    import qaudit.report.inspection_bom\n"
        "except MissingExtra as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cyclonedx-python-lib is not installed; run: pip install 'qaudit[bom]'\n"

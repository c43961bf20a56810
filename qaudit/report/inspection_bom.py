"""Inspections as a CycloneDX 1.6 bill of materials: the models, their files with digests, what was found.

The library has no model cards yet, so that part of a component is put into the document as the
specification has it after everything else is made. Importing this needs the extra `bom`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any
from uuid import UUID

from qaudit.errors import MissingExtra
from qaudit.files import sha256_bytes
from qaudit.findings import SEVERITIES, FileDigest, Finding, Inspection
from qaudit.report.inspection_places import Places
from qaudit.report.plain_values import plain, to_json
from qaudit.report.untrusted import one_line, presentable

try:
    from cyclonedx.model import HashAlgorithm, HashType, Property, XsUri
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType, Pedigree
    from cyclonedx.model.license import DisjunctiveLicense
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.model.vulnerability import (
        BomTarget,
        Vulnerability,
        VulnerabilityAdvisory,
        VulnerabilityRating,
        VulnerabilityReference,
        VulnerabilitySeverity,
        VulnerabilitySource,
    )
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL
except ImportError as error:
    raise MissingExtra("cyclonedx-python-lib", "bom") from error

_HUB = re.compile(r"hf://(?P<owner>[^/@]+)/(?P<name>[^/@]+)@(?P<commit>[0-9a-f]{40})(?:/.*)?")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")
_LINK = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,2000}")
MOST_PLACES = 50  # of one rule that are spelled out
PREFIX = "qaudit:"


def render(inspections: Sequence[Inspection]) -> str:
    """Return the document, as JSON.

    Args:
        inspections: at least one; made with the digests of the files, which a bill is about.
    """
    models = [_model(number, inspection) for number, inspection in enumerate(inspections)]
    only = models[0] if len(models) == 1 else None
    last = inspections[-1]
    bom = Bom(
        serial_number=_serial(inspections),
        metadata=BomMetaData(
            timestamp=datetime.fromisoformat(last.created),
            tools=ToolRepository(
                components=[
                    Component(name=last.tool.name, version=last.tool.version, type=ComponentType.APPLICATION)
                ]
            ),
            component=only,
        ),
        components=() if only else models,
        vulnerabilities=[
            vulnerability
            for number, inspection in enumerate(inspections)
            for vulnerability in _vulnerabilities(number, inspection)
        ],
    )
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    cards = {_ref(number): _card(inspection) for number, inspection in enumerate(inspections)}
    for component in _models_in(document):
        component["modelCard"] = cards[component["bom-ref"]]
    return to_json(document)


def _model(number: int, inspection: Inspection) -> Component:
    facts = inspection.facts
    base = facts.get("declared_base")
    hub = _HUB.fullmatch(inspection.target)
    return Component(
        bom_ref=_ref(number),
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=_text(facts.get("name") or PurePath(inspection.target).name or inspection.target),
        version=hub["commit"] if hub else None,
        purl=PackageURL("huggingface", hub["owner"], hub["name"], hub["commit"]) if hub else None,
        licenses=[DisjunctiveLicense(name=_text(facts["licence"]))] if facts.get("licence") else None,
        pedigree=Pedigree(ancestors=list(_ancestors(inspection.reference, base))),
        properties=list(_properties(inspection)),
        components=[_file(number, file) for file in inspection.files],
    )


def _ancestors(reference: str | None, base: str | None) -> Iterator[Component]:
    """Yield what the model was made from: what it was compared with, and what it says itself."""
    kinds = (("compared with", reference), ("declared base model", base))
    for what, name in kinds:
        if name:
            yield Component(type=ComponentType.MACHINE_LEARNING_MODEL, name=_text(name), description=what)


def _properties(inspection: Inspection) -> Iterator[Property]:
    yield Property(name=f"{PREFIX}target", value=_text(inspection.target))
    yield Property(name=f"{PREFIX}status", value=inspection.status)
    yield Property(name=f"{PREFIX}fail_on", value=inspection.fail_on)
    for key, value in inspection.facts.items():
        yield Property(name=_text(f"{PREFIX}{key}"), value=_text(value))
    for surface in inspection.surfaces:
        if surface.is_open:
            told = f"{surface.path} ({surface.kind}, {surface.state}): {surface.why}"
            yield Property(name=f"{PREFIX}not_examined", value=_text(told))


def _file(number: int, file: FileDigest) -> Component:
    return Component(
        bom_ref=_file_ref(number, file.path),
        type=ComponentType.FILE,
        name=_text(file.path),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file.sha256)],
        properties=[Property(name=f"{PREFIX}bytes", value=str(file.size))],
    )


def _vulnerabilities(number: int, inspection: Inspection) -> Iterator[Vulnerability]:
    """Yield one entry for each rule that does not hold, with all its places."""
    places, known = Places(inspection), {file.path for file in inspection.files}
    by_rule: dict[str, list[Finding]] = {}
    for finding in inspection.findings:
        by_rule.setdefault(finding.id, []).append(finding)
    for rule, findings in by_rule.items():
        first = findings[0]
        worst = max((finding.severity for finding in findings), key=SEVERITIES.index)
        paths = dict.fromkeys(places.file_of(finding) for finding in findings)
        refs = [_file_ref(number, path) if path in known else _ref(number) for path in paths if path]
        yield Vulnerability(
            bom_ref=f"{_ref(number)}/finding/{rule}",
            id=rule,
            source=VulnerabilitySource(name=inspection.tool.name),
            ratings=[VulnerabilityRating(severity=VulnerabilitySeverity(worst))],
            description=_text(first.title),
            detail=_detail(findings),
            recommendation=_text(first.remedy),
            references=[
                VulnerabilityReference(
                    id=cve,
                    source=VulnerabilitySource(
                        name="NVD", url=XsUri(f"https://nvd.nist.gov/vuln/detail/{cve}")
                    ),
                )
                for cve in dict.fromkeys(cve for text in first.references for cve in _CVE.findall(text))
            ],
            advisories=[
                VulnerabilityAdvisory(url=XsUri(link)) for link in first.references if _LINK.fullmatch(link)
            ],
            affects=[BomTarget(ref=ref) for ref in dict.fromkeys(refs or [_ref(number)])],
        )


def _detail(findings: Sequence[Finding]) -> str:
    lines = [f"{one_line(f.location)}: {presentable(f.evidence)}" for f in findings[:MOST_PLACES]]
    if len(findings) > MOST_PLACES:
        lines.append(f"and {len(findings) - MOST_PLACES} more places")
    return "\n".join(lines)


def _card(inspection: Inspection) -> dict[str, Any]:
    facts = inspection.facts
    parameters: dict[str, Any] = {}
    if architecture := facts.get("architecture"):
        parameters["architectureFamily"] = _text(architecture)
    card: dict[str, Any] = {"modelParameters": parameters} if parameters else {}
    named = {"format": facts.get("format"), "types": facts.get("types")}
    card["properties"] = [
        {"name": f"{PREFIX}{key}", "value": _text(value)} for key, value in named.items() if value
    ]
    return card


def _models_in(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "component" in document["metadata"]:
        yield document["metadata"]["component"]
    yield from document.get("components", ())


def _serial(inspections: Sequence[Inspection]) -> UUID:
    """Return a serial number of this content: the same look gives the same bill."""
    text = to_json([plain(inspection) for inspection in inspections])
    return UUID(bytes=bytes.fromhex(sha256_bytes(text.encode()))[:16], version=4)


def _ref(number: int) -> str:
    return f"model-{number}"


def _file_ref(number: int, path: str) -> str:
    # a name from outside may hold anything; its digest is as good a name within the document
    return f"model-{number}/file/{sha256_bytes(path.encode('utf-8', 'surrogatepass'))[:32]}"


def _text(text: str) -> str:
    return one_line(text)

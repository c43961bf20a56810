import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from loopback_sigstore.forging import forge
from loopback_sigstore.instance import LoopbackSigstore

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.keyless_material import KeylessMaterial, parse_material
from qaudit.errors import VerificationFailed

STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def made() -> dict[int, bytes]:
    """A good bundle of each version of the log."""
    bundles = {}
    for version in (1, 2):
        instance = LoopbackSigstore(rekor=version)  # type: ignore[arg-type]
        bundles[version] = json.dumps(forge(instance, STATEMENT)).encode()
        instance.stop()
    return bundles


def parse(document: dict[str, Any]) -> KeylessMaterial:
    return parse_material(parse_bundle(json.dumps(document).encode(), "b"), "b")


def refuse(raw: bytes, change: Change, says: str) -> None:
    document = json.loads(raw)
    change(document["verificationMaterial"])
    with pytest.raises(VerificationFailed, match=says) as caught:
        parse(document)
    assert str(caught.value).startswith("b: ")
    assert str(caught.value).isprintable()


def entry(material: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = material["tlogEntries"][0]
    return found


def proof(material: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = entry(material)["inclusionProof"]
    return found


def test_a_good_one_is_read(made: dict[int, bytes]) -> None:
    first, second = parse(json.loads(made[1])), parse(json.loads(made[2]))
    told = json.loads(made[1])["verificationMaterial"]
    assert first.certificate == base64.b64decode(told["certificate"]["rawBytes"])
    assert first.promised_at == datetime.fromtimestamp(int(entry(told)["integratedTime"]), UTC)
    assert first.log_id == base64.b64decode(entry(told)["logId"]["keyId"])
    assert second.promised_at is None
    assert len(first.timestamps) == len(second.timestamps) == 1


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(publicKey={"hint": "x"}), "verify it with --key"),
        (lambda m: m.update(x509CertificateChain={}), "verify it with --certificate-root"),
        (lambda m: m.pop("certificate"), "certificate: Field required"),
        (lambda m: m.pop("tlogEntries"), "no entry of a transparency log"),
        (lambda m: m.update(tlogEntries=[]), "no entry of a transparency log"),
        (lambda m: m.update(tlogEntries={}), "no entry of a transparency log"),
        (lambda m: m.update(tlogEntries=m["tlogEntries"] * 2), "holds 2 log entries; exactly one"),
        (lambda m: m.update(tlogEntries=[7]), "without its inclusion proof"),
        (lambda m: entry(m).pop("inclusionProof"), "without its inclusion proof"),
        (lambda m: proof(m).pop("checkpoint"), "without the log's signed checkpoint"),
        (lambda m: m.update(extra=1), "extra: Extra inputs"),
        (lambda m: entry(m).update(extra=1), "tlogEntries.0.extra"),
        (lambda m: proof(m).update(extra=1), "inclusionProof.extra"),
        (lambda m: entry(m).update(logIndex=1), "logIndex"),
        (lambda m: entry(m).update(logIndex="1_0"), "logIndex"),
        (lambda m: entry(m).update(logIndex=" 1"), "logIndex"),
        (lambda m: entry(m).update(logIndex="01"), "logIndex"),
        (lambda m: entry(m).update(logIndex="\u0661"), "logIndex"),
        (lambda m: entry(m).update(logIndex="9" * 40), "logIndex"),
        (lambda m: entry(m)["kindVersion"].update(kind="intoto"), "kindVersion.kind"),
        (lambda m: proof(m).update(hashes=["AAAA"] * 65), "at most 64"),
        (lambda m: proof(m).update(hashes=["AB=="]), "canonical base64"),
        (lambda m: proof(m).update(hashes=["A\nAA"]), "not base64"),
        (lambda m: proof(m).update(rootHash=""), "rootHash"),
        (lambda m: entry(m)["logId"].update(keyId="____"), "keyId"),
        (lambda m: m["timestampVerificationData"].update(more=1), "timestampVerificationData.more"),
        (lambda m: m["timestampVerificationData"].update(rfc3161Timestamps=[{"signedTimestamp": "AAAA"}] * 9), "at most 8"),
    ],
)  # fmt: skip
def test_other_shapes_are_refused(made: dict[int, bytes], version: int, change: Change, says: str) -> None:
    refuse(made[version], change, says)


def in_note(change: Callable[[str], str]) -> Change:
    def apply(material: dict[str, Any]) -> None:
        checkpoint = proof(material)["checkpoint"]
        changed = change(checkpoint["envelope"])
        assert changed != checkpoint["envelope"]
        checkpoint["envelope"] = changed

    return apply


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda n: n.replace("\n\n", "\n", 1), "not a signed note"),
        (lambda n: n.removesuffix("\n"), "not a signed note"),
        (lambda n: n.split("\n\n")[0] + "\n\n", "not a signed note"),
        (lambda n: "\n".join(n.split("\n")[1:]), "not a signed note|names no log"),
        (lambda n: n.replace("\u2014 ", "\u2014  "), "a line that is not a signature"),
        (lambda n: n + "\n", "a line that is not a signature"),
        (lambda n: n + "more\n", "a line that is not a signature"),
        (lambda n: n + n.split("\n\n")[1], "not signed once"),
        (lambda n: n.replace("\u2014 127.0.0.1", "\u2014 127.0.0.2"), "not signed once"),
        (lambda n: n.replace("127.0.0.1", "127.0.0.2", 1), "not signed once"),
        (lambda n: n.split("\n\n")[0] + "\n\n\u2014 127.0.0.1 AB==\n", "canonical base64"),
        (lambda n: "x" * (65 << 10), "at most 65536 characters"),
    ],
)
def test_every_line_of_a_checkpoint_counts(
    made: dict[int, bytes], change: Callable[[str], str], says: str
) -> None:
    refuse(made[1], in_note(change), says)


def test_a_witness_may_sign_a_checkpoint_too(made: dict[int, bytes]) -> None:
    document = json.loads(made[2])
    in_note(lambda note: f"{note}\u2014 witness.example.com/w AAAAAAAA\n")(document["verificationMaterial"])
    assert parse(document).timestamps


def test_the_proof_is_that_of_the_checkpoint(made: dict[int, bytes]) -> None:
    refuse(made[1], lambda m: proof(m).update(treeSize="77"), "treeSize: not the checkpoint's")
    refuse(made[1], lambda m: proof(m).update(rootHash="AAAA"), "rootHash: not the checkpoint's")


def test_what_only_a_promise_signs_needs_one(made: dict[int, bytes]) -> None:
    refuse(made[2], lambda m: entry(m).update(integratedTime="1"), "without a promise that signs it")
    refuse(made[2], lambda m: entry(m).update(logIndex="9"), "logIndex: not the inclusion proof's")
    refuse(made[1], lambda m: entry(m).pop("inclusionPromise"), "without a promise that signs it")
    refuse(made[1], lambda m: entry(m).pop("integratedTime"), "without the time that it signs")
    refuse(made[1], lambda m: entry(m).update(integratedTime="9" * 18), "integratedTime: not a time")


@pytest.mark.parametrize("left", [{}, {"rfc3161Timestamps": []}])
def test_something_must_prove_the_time(made: dict[int, bytes], left: dict[str, Any]) -> None:
    refuse(made[2], lambda m: m.update(timestampVerificationData=left), "nothing proves when")
    refuse(made[2], lambda m: m.pop("timestampVerificationData"), "nothing proves when")
    document = json.loads(made[1])
    document["verificationMaterial"]["timestampVerificationData"] = left
    assert parse(document).timestamps == ()


OPTIONAL = {"timestampVerificationData", "rfc3161Timestamps", "hashes", "integratedTime", "inclusionPromise"}
# no text: it may happen to be right
NOT_TEXT = st.recursive(
    st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([1, 2]), st.data())
@settings(max_examples=60, deadline=None)
def test_a_field_of_another_type_never_passes(
    made: dict[int, bytes], version: int, data: st.DataObject
) -> None:
    document = json.loads(made[version])
    holder = data.draw(st.sampled_from(_holders(document["verificationMaterial"])))
    keys = sorted(holder.keys() - OPTIONAL)
    assume(keys)
    holder[data.draw(st.sampled_from(keys))] = data.draw(NOT_TEXT)
    with pytest.raises(VerificationFailed):
        parse(document)


def _holders(found: object) -> list[dict[str, Any]]:
    if isinstance(found, dict):
        return [found, *(holder for value in found.values() for holder in _holders(value))]
    return [holder for value in found for holder in _holders(value)] if isinstance(found, list) else []

"""The list of SIGNING 3c: what may be wrong with a keyless bundle, and the words that refuse it."""

import pytest
from attest.knockouts import (
    HOUR,
    Knockout,
    as_message_signature,
    edited_payload,
    emptied,
    entry_of,
    fault,
    flip64,
    from_elsewhere,
    leaf,
    not_valid_yet,
    of_other_bytes,
    other,
    other_payload,
    other_signature,
    other_verifier,
    plus_one,
    proof,
    second_signature,
    set_checkpoint,
    spliced,
    stamps_of,
    window,
    without_promise,
    without_stamps,
)
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from loopback_sigstore.faults import aged, stamped_earlier
from loopback_sigstore.keys import new_key
from loopback_sigstore.oidc import SUBJECT
from loopback_sigstore.trust import ended, not_begun

STRANGER = x509.UniformResourceIdentifier("https://stranger.example/")

CERTIFICATE = {
    "no code signing": Knockout("code signing", leaf(usages=[ExtendedKeyUsageOID.CLIENT_AUTH])),
    "no usages": Knockout("ExtendedKeyUsage", leaf(usages=[])),
    "no digital signature": Knockout("digital signature", leaf(digital_signature=False)),
    "no name": Knockout("not issued by this Sigstore", leaf(names=[])),
    "a stranger's name": Knockout("signed by 'https://stranger.example/', not by", leaf(names=[STRANGER])),
    "a host's name": Knockout("name of an unknown kind", leaf(names=[x509.DNSName("ci.example.com")])),
    "two names": Knockout("'https://ci.example.com/qaudit', 'https://stranger.example/', not by", leaf(names=[x509.UniformResourceIdentifier(SUBJECT), STRANGER])),
    "an authority as leaf": Knockout("keyCertSign", leaf(is_authority=True)),
    "expired when it signed": Knockout("not valid at the proven time", fault(leaf=aged(HOUR))),
    "not valid yet when it signed": Knockout("not valid at the proven time", fault(leaf=not_valid_yet)),
    "without issuer": Knockout("another issuer than", leaf(extensions=[])),
    "another's certificate": Knockout("the bundle was changed", bundle=spliced("certificate")),
    "flipped": Knockout("not issued by this Sigstore", bundle=lambda b, i: b["verificationMaterial"]["certificate"].update(rawBytes=flip64(b["verificationMaterial"]["certificate"]["rawBytes"]))),
    "cut": Knockout("asn1", bundle=lambda b, i: b["verificationMaterial"]["certificate"].update(rawBytes="MIIB")),
    "authority not trusted": Knockout("not issued by this Sigstore", root=from_elsewhere("certificateAuthorities")),
    "no authority": Knockout("trust.json: .* lists no certificate authority", root=emptied("certificateAuthorities")),
}  # fmt: skip
TRANSPARENCY = {
    "no SCT": Knockout(
        "not in the instance's certificate transparency log .*does not contain", fault(scts=0)
    ),
    "two SCTs": Knockout("Expected one certificate timestamp, found 2", fault(scts=2)),
    "SCT by another key": Knockout(
        "certificate transparency log .*invalid signature", fault(sct_key=new_key())
    ),
    "SCT over another certificate": Knockout(
        "certificate transparency log .*invalid signature", fault(sct_over=lambda tbs: tbs[:-1] + b"\x00")
    ),
    "CT log not trusted": Knockout(
        "certificate transparency log .*invalid signature", root=from_elsewhere("ctlogs")
    ),
    "no CT log": Knockout("trust.json: .* lists no certificate transparency log", root=emptied("ctlogs")),
}
LOG = {
    "no entry": Knockout("holds no entry of a transparency log", bundle=lambda b, i: b["verificationMaterial"].update(tlogEntries=[])),
    "no list of entries": Knockout("holds no entry of a transparency log", bundle=lambda b, i: b["verificationMaterial"].pop("tlogEntries")),
    "two entries": Knockout("holds 2 log entries", bundle=lambda b, i: b["verificationMaterial"]["tlogEntries"].append(entry_of(b))),
    "another's entry": Knockout("log entry is of (another signature|other bytes)", bundle=spliced("tlogEntries")),
    "entry for other bytes": Knockout("log entry is of other bytes", fault(entry=other_payload)),
    "entry with another signature": Knockout("log entry is of (another signature|other bytes)", fault(entry=other_signature)),
    "entry with another certificate": Knockout("log entry is of (another signature|other bytes)", fault(entry=other_verifier)),
    "entry of another kind": Knockout("kindVersion.kind", bundle=lambda b, i: entry_of(b).update(kindVersion={"kind": "intoto", "version": "0.0.2"})),
    "entry of another version": Knockout("kindVersion.version", bundle=lambda b, i: entry_of(b)["kindVersion"].update(version="0.0.9")),
    "no inclusion proof": Knockout("without its inclusion proof", bundle=lambda b, i: entry_of(b).pop("inclusionProof")),
    "no checkpoint": Knockout("without the log's signed checkpoint", bundle=proof(lambda p: p.pop("checkpoint"))),
    "empty checkpoint": Knockout("not a signed note", bundle=set_checkpoint(lambda text: "")),
    "checkpoint by another key": Knockout("checkpoint does not verify", fault(log_key=new_key())),
    "checkpoint with its signature changed": Knockout("checkpoint does not verify", bundle=set_checkpoint(lambda text: text[:-8] + ("A" if text[-8] != "A" else "B") + text[-7:])),
    "checkpoint with another size": Knockout("treeSize: not the checkpoint's", bundle=set_checkpoint(lambda text: text.replace("\n", "\n1", 1))),
    "checkpoint with more behind it": Knockout("a line that is not a signature", bundle=set_checkpoint(lambda text: text + "more\n")),
    "checkpoint of another tree": Knockout("inclusion proof does not lead", fault(other_tree=True)),
    "a hash of the path dropped": Knockout("inclusion proof does not lead", bundle=proof(lambda p: p["hashes"].pop())),
    "a hash of the path added": Knockout("inclusion proof does not lead", bundle=proof(lambda p: p["hashes"].append(p["hashes"][0]))),
    "a hash of the path changed": Knockout("inclusion proof does not lead", bundle=proof(lambda p: p["hashes"].__setitem__(0, flip64(p["hashes"][0])))),
    "another root": Knockout("rootHash: not the checkpoint's", bundle=proof(lambda p: p.update(rootHash=flip64(p["rootHash"])))),
    "another tree size": Knockout("treeSize: not the checkpoint's", bundle=proof(lambda p: plus_one(p, "treeSize"))),
    "another place in the proof": Knockout("logIndex|log_index", bundle=proof(lambda p: plus_one(p, "logIndex"))),
    "another place outside the proof": Knockout("promise, which proves the time|logIndex", bundle=lambda b, i: plus_one(entry_of(b), "logIndex")),
    "another log's name": Knockout("trust.json knows no log", bundle=lambda b, i: entry_of(b)["logId"].update(keyId=flip64(entry_of(b)["logId"]["keyId"]))),
    "body flipped": Knockout("inclusion proof does not lead", bundle=lambda b, i: entry_of(b).update(canonicalizedBody=flip64(entry_of(b)["canonicalizedBody"], 20))),
    "log not trusted": Knockout("trust.json knows no log", root=from_elsewhere("tlogs")),
    "no log": Knockout("lists no transparency log", root=emptied("tlogs")),
}  # fmt: skip
TIME = {
    "promise changed": Knockout("promise, which proves the time, does not verify", bundle=lambda b, i: entry_of(b)["inclusionPromise"].update(signedEntryTimestamp=flip64(entry_of(b)["inclusionPromise"]["signedEntryTimestamp"])), versions=(1,)),
    "promised a second later": Knockout("promise, which proves the time, does not verify", bundle=lambda b, i: plus_one(entry_of(b), "integratedTime"), versions=(1,)),
    "neither promise nor timestamp": Knockout("nothing proves when it was signed", bundle=without_promise, versions=(1,), timestamps=False),
    "a time whose promise was dropped": Knockout("integratedTime: without a promise", bundle=lambda b, i: entry_of(b).pop("inclusionPromise"), versions=(1,)),
    "no timestamp": Knockout("nothing proves when it was signed", bundle=without_stamps, versions=(2,)),
    "a time that nobody promised": Knockout("integratedTime: without a promise", bundle=lambda b, i: entry_of(b).update(integratedTime="1700000000"), versions=(2,)),
    "timestamp of other bytes": Knockout("timestamp does not verify", fault(stamp=of_other_bytes)),
    "timestamp by another key": Knockout("timestamp does not verify", fault(stamp_key=new_key())),
    "timestamp of another signature": Knockout("timestamp does not verify", bundle=spliced("timestampVerificationData")),
    "timestamp twice": Knockout("the same timestamp twice", bundle=lambda b, i: stamps_of(b).append(stamps_of(b)[0])),
    "timestamp that is none": Knockout("timestamp does not parse", bundle=lambda b, i: stamps_of(b)[0].update(signedTimestamp="AAAA")),
    "timestamp before the certificate": Knockout("not valid at the proven time", fault(stamp=stamped_earlier(HOUR))),
    "timestamp after the certificate": Knockout("not valid at the proven time", fault(stamp=stamped_earlier(-HOUR))),
    "timestamp authority not trusted": Knockout("timestamp does not verify", root=from_elsewhere("timestampAuthorities")),
    "no timestamp authority": Knockout("timestamp does not verify", root=emptied("timestampAuthorities")),
}  # fmt: skip
WINDOWS = {
    "authority retired": Knockout(
        "by a certificate authority that did not count then .validFor", window(authority=ended())
    ),
    "authority not yet in force": Knockout("validFor", window(authority=not_begun())),
    "CT log retired": Knockout(
        "by a certificate transparency log that did not count then", window(certificates_log=ended())
    ),
    "CT log not yet in force": Knockout("validFor", window(certificates_log=not_begun())),
    "log retired": Knockout("by a transparency log that did not count then", window(log=ended())),
    "log not yet in force": Knockout("validFor", window(log=not_begun())),
    "timestamp authority retired": Knockout("was timestamped at .*validFor", window(timestamps=ended())),
    "timestamp authority not yet in force": Knockout(
        "was timestamped at .*validFor", window(timestamps=not_begun())
    ),
}
ENVELOPE = {
    "second signature": Knockout("signatures: .*at most 1 item", bundle=second_signature),
    "no signature": Knockout("signatures: .*at least 1 item", bundle=lambda b, i: b["dsseEnvelope"].update(signatures=[])),
    "signature flipped": Knockout("does not verify", bundle=lambda b, i: b["dsseEnvelope"]["signatures"][0].update(sig=flip64(b["dsseEnvelope"]["signatures"][0]["sig"]))),
    "another's signature": Knockout("does not verify", bundle=lambda b, i: b["dsseEnvelope"].update(signatures=other(b, i)["dsseEnvelope"]["signatures"])),
    "key named": Knockout("keyid", bundle=lambda b, i: b["dsseEnvelope"]["signatures"][0].update(keyid="x")),
    "payload edited": Knockout("the bundle was changed", bundle=edited_payload),
    "payload type edited": Knockout("payloadType", bundle=lambda b, i: b["dsseEnvelope"].update(payloadType="text/plain")),
    "bundle over bare bytes": Knockout("dsseEnvelope: Field required", bundle=as_message_signature),
    "older media type": Knockout("mediaType", bundle=lambda b, i: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1")),
    "chain in place of the certificate": Knockout("was not signed with Sigstore", bundle=lambda b, i: b["verificationMaterial"].update(x509CertificateChain={"certificates": [b["verificationMaterial"].pop("certificate")]})),
    "chain beside the certificate": Knockout("was not signed with Sigstore", bundle=lambda b, i: b["verificationMaterial"].update(x509CertificateChain={"certificates": [b["verificationMaterial"]["certificate"]]})),
    "key in place of the certificate": Knockout("with --key, not with --identity", bundle=lambda b, i: b["verificationMaterial"].update(publicKey={"hint": "x"}) or b["verificationMaterial"].pop("certificate")),
    "unknown key": Knockout("note: ", bundle=lambda b, i: b["verificationMaterial"].update(note="x")),
    "unknown key in the entry": Knockout("tlogEntries.0.note", bundle=lambda b, i: entry_of(b).update(note="x")),
}  # fmt: skip
ALL = CERTIFICATE | TRANSPARENCY | LOG | TIME | WINDOWS | ENVELOPE
# what has nothing to do with the log is tried with one kind of it
ONCE = CERTIFICATE | TRANSPARENCY | ENVELOPE
CASES = [
    pytest.param(knockout, version, id=f"{name}-v{version}")
    for name, knockout in ALL.items()
    for version in knockout.versions
    if version == 1 or name not in ONCE
]

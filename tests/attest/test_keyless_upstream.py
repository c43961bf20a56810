"""What sigstore-python 4.5.1 lets through on its own, and our gate refuses; says so when that ends."""

import json

import pytest
from attest.keyless_desk import Desks
from attest.knockout_cases import CASES
from attest.knockouts import Knockout
from loopback_sigstore.forging import forge
from loopback_sigstore.oidc import SUBJECT
from sigstore.errors import Error
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.verify import Verifier, policy

PASSES = {
    "two names-v1",
    "checkpoint with more behind it-v1",
    "checkpoint with more behind it-v2",
    "another place outside the proof-v2",
    "another log's name-v2",
    "a time whose promise was dropped-v1",
    "a time that nobody promised-v2",
    "timestamp of other bytes-v1",
    "timestamp by another key-v1",
    "timestamp of another signature-v1",
    "timestamp authority not trusted-v1",
    "authority retired-v1",
    "authority retired-v2",
    "CT log retired-v1",
    "CT log retired-v2",
    "log retired-v1",
    "log retired-v2",
    "timestamp authority retired-v1",
    "timestamp authority not yet in force-v1",
    "key named-v1",
}
KNOWN = [case for case in CASES if case.id in PASSES]


def test_the_list_names_knockouts() -> None:
    assert len(KNOWN) == len(PASSES)


@pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason="sigstore-python does not check it")
@pytest.mark.parametrize(("knockout", "version"), KNOWN)
def test_sigstore_alone_refuses(desks: Desks, knockout: Knockout, version: int) -> None:
    desk = desks(2 if version == 2 else 1, knockout.timestamps)
    knockout.signing(desk.instance)
    bundle = forge(desk.instance, desk.statement)
    knockout.bundle(bundle, desk.instance)
    config = desk.instance.trust_config()
    knockout.root(config["trustedRoot"])
    verifier = Verifier(trusted_root=ClientTrustConfig.from_json(json.dumps(config)).trusted_root)
    who = policy.AllOf([policy.Identity(identity=SUBJECT), policy.OIDCIssuerV2(desk.instance.url)])
    with pytest.raises(Error):
        verifier.verify_dsse(Bundle.from_json(json.dumps(bundle)), who)

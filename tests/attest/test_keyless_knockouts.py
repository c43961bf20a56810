"""One thing wrong with a good keyless bundle at a time, against our gate."""

from datetime import UTC, datetime, timedelta

import pytest
from attest.keyless_desk import Desks
from attest.knockout_cases import CASES
from attest.knockouts import (
    Knockout,
    set_checkpoint,
    without_promise,
)
from loopback_sigstore.forging import forge
from loopback_sigstore.oidc import SUBJECT

from qaudit.errors import QauditError


@pytest.mark.parametrize(
    ("version", "timestamps", "promise"),
    [(1, True, True), (1, False, True), (1, True, False), (2, True, True)],
)
def test_nothing_wrong_passes(desks: Desks, version: int, timestamps: bool, promise: bool) -> None:
    desk = desks(version, timestamps)
    bundle = forge(desk.instance, desk.statement)
    if not promise:
        without_promise(bundle, desk.instance)
    desk.put(bundle, desk.instance.trust_config())
    verified = desk.gate()
    assert verified.signed_by.identity == SUBJECT
    assert verified.signed_by.issuer == desk.instance.url
    assert verified.signed_by.signed_at is not None
    assert abs(datetime.now(UTC) - verified.signed_by.signed_at) < timedelta(minutes=1)


@pytest.mark.parametrize(("knockout", "version"), CASES)
def test_one_thing_wrong_is_refused(desks: Desks, knockout: Knockout, version: int) -> None:
    desk = desks(version, knockout.timestamps)
    knockout.signing(desk.instance)
    bundle = forge(desk.instance, desk.statement)
    knockout.bundle(bundle, desk.instance)
    config = desk.instance.trust_config()
    knockout.root(config["trustedRoot"])
    desk.put(bundle, config)
    with pytest.raises(QauditError, match=knockout.says) as caught:
        desk.gate()
    assert str(caught.value).isprintable()
    # a trusted root that cannot be used is bad input, all else is a signature that does not hold
    assert caught.value.exit_code == (2 if "trust.json: " in str(caught.value) else 1)


def test_a_witness_may_sign_the_checkpoint_too(desks: Desks) -> None:
    """Notes allow signatures of others; nobody's word hangs on them, so that they may change unnoticed."""
    desk = desks(2, True)
    bundle = forge(desk.instance, desk.statement)
    set_checkpoint(lambda text: text + "\u2014 witness.example AAAAAAAA\n")(bundle, desk.instance)
    desk.put(bundle, desk.instance.trust_config())
    assert desk.gate().audited

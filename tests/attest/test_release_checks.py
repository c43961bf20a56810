"""What a consumer's own policy, the signed one, the dates and the recipe decide."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attest.realign_record import realign_record
from attest.refusals import check, payload_of, refuse, resign_document
from release_kit import NOW, POLICY_TEXT, Release, make_release, report_for, sha256

from qaudit.attest.dsse import parse_bundle
from qaudit.attest.oms_signing import oms_place
from qaudit.attest.release_checks import check_time, signed_companion, usual_place
from qaudit.attest.statement import parse_statement, parse_time
from qaudit.errors import GateFailure, InputError, VerificationFailed


def mine(tmp_path: Path, terms: str) -> Path:
    """A consumer's policy without rules."""
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nversion: 1\n{terms}\n")
    return path


def under(release: Release, terms: str, status: str = "pass") -> Release:
    """The release, judged by a policy with these terms and not yet signed."""
    policy = release.policy.with_name("terms.yaml")
    policy.write_text(POLICY_TEXT + terms)
    path = release.report.with_name("terms.json")
    path.write_text(json.dumps(report_for(release.checkpoint, policy.read_bytes(), status)))
    return replace(release, policy=policy, report=path)


# ---- the consumer's policy ----


@pytest.mark.parametrize(
    "terms",
    [
        "requires: {suites: {core: '1.0'}}",
        "max_report_age_days: 1",
        "verdicts: [pass]",
        "verdicts: [pass, fail]",
    ],
)
def test_least_demands_that_are_met(signed: Release, tmp_path: Path, terms: str) -> None:
    assert check(signed, policy=mine(tmp_path, terms)).audited


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ("requires: {suites: {core: 2}}", "the suite core is version 1, and 2 or newer is required"),
        ("requires: {suites: {unseen: 1}}", "the suite unseen was not asked"),
        ("max_report_age_days: 30", "the report is 31 days old"),
    ],
)
def test_least_demands_that_are_not(signed: Release, tmp_path: Path, terms: str, says: str) -> None:
    later = NOW + timedelta(days=31)
    said = refuse(signed, says, policy=mine(tmp_path, terms), now=later)
    assert "falls short of your policy mine" in said
    assert check(signed, now=later).audited


def test_figures_that_nobody_counted_again(release: Release, tmp_path: Path) -> None:
    asks = mine(tmp_path, "requires: {recounted: true}")
    judged = under(release, "requires: {recounted: true}\n")
    with pytest.raises(
        GateFailure, match=r"terms\.json: the policy house does not let it out unrecounted: gone"
    ):
        judged.sign(recheck=lambda *_: "gone")
    release.sign(recheck=lambda *_: "the replies are gone")
    refuse(
        release, "recounted figures are required, and the signature says the replies are gone", policy=asks
    )
    recount = check(release).audit.recount
    assert (recount.complete, recount.why) == (False, "the replies are gone")
    # the figures that come from probabilities are never counted again
    assert recount.asTold == ("first_token",)
    judged.sign(recheck=lambda *_: None)
    assert check(judged, policy=asks).audit.recount.complete


def test_a_signature_that_says_more_or_less_than_it_counted(signed: Release, tmp_path: Path) -> None:
    said = payload_of(signed)
    for lie in ({"complete": True}, {"asTold": []}, {"why": ""}):
        resign_document(
            signed, said | {"predicate": said["predicate"] | {"recount": said["predicate"]["recount"] | lie}}
        )
        refuse(signed, "recount")
    silent = {key: value for key, value in said["predicate"].items() if key != "recount"}
    resign_document(signed, said | {"predicate": silent})
    assert check(signed).audit.recount is None
    refuse(
        signed,
        "required, and the signature says nothing of it",
        policy=mine(tmp_path, "requires: {recounted: true}"),
    )


def test_every_shortfall_is_told_at_once(signed: Release, tmp_path: Path) -> None:
    terms = "requires: {suites: {core: 2, unseen: 1}}\nmax_report_age_days: 1"
    said = refuse(signed, "core is", policy=mine(tmp_path, terms), now=NOW + timedelta(days=2))
    assert "unseen was not asked" in said
    assert "2 days old" in said


def test_a_policy_says_which_verdicts_are_accepted(release: Release, tmp_path: Path) -> None:
    judged = release.judged("inconclusive")
    judged.sign(accept_risk="too small a model")
    refuse(judged, "--accept-conditional")
    assert check(judged, policy=mine(tmp_path, "verdicts: [pass, inconclusive]")).audited
    for strict in ("verdicts: [pass]", "verdicts: [pass, fail]"):
        refuse(judged, "the verdict is inconclusive", policy=mine(tmp_path, strict), accept_conditional=True)
    # a policy that is silent about verdicts changes nothing
    refuse(judged, "--accept-conditional", policy=mine(tmp_path, "max_report_age_days: 9"))


def test_a_policy_with_rules_is_the_one_that_judged_and_its_demands_hold_too(
    release: Release, tmp_path: Path
) -> None:
    judged = under(release, "max_report_age_days: 30\n")
    judged.sign()
    assert check(judged, policy=judged.policy).audited
    looser = tmp_path / "looser.yaml"
    looser.write_text(judged.policy.read_text() + "# the same, but for this\n")
    refuse(judged, "judged by the policy 'house' version 1, not by .*looser.yaml", policy=looser)


@pytest.mark.parametrize("text", ["name: mine\nversion: 1\n", "name: mine\nversion: 1\nrules: []\n"])
def test_a_policy_that_asks_for_nothing_is_no_demand(signed: Release, tmp_path: Path, text: str) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="asks for nothing"):
        check(signed, policy=path)


def test_a_policy_that_is_not_understood_is_an_error(signed: Release, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_report_age_day"):
        check(signed, policy=mine(tmp_path, "max_report_age_day: 30"))


# ---- the signed policy ----


def test_the_signed_policy_binds_whoever_verifies(release: Release) -> None:
    judged = under(release, "max_report_age_days: 30\n")
    judged.sign()
    document = payload_of(judged)
    document["predicate"]["notAfter"] = "2027-08-01T12:00:00Z"
    resign_document(judged, document)
    assert check(judged, now=NOW + timedelta(days=29)).audited
    refuse(judged, "falls short of the signed policy house: the report is 30", now=NOW + timedelta(days=30))


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ("verdicts: [pass]\n", "the verdict is fail"),
        ("requires: {suites: {core: 3}}\n", "core is version 1"),
        ("new_demand: 3\n", "not a policy .new_demand"),
    ],
)
def test_a_signer_who_broke_the_signed_policy_is_refused(release: Release, terms: str, says: str) -> None:
    judged = release.judged("fail")
    judged.sign(accept_risk="internal test")
    policy = judged.checkpoint / ".qaudit" / "policy.yaml"
    policy.write_text(POLICY_TEXT + terms)
    document = payload_of(judged)
    document["predicate"]["policy"]["digest"]["sha256"] = sha256(policy.read_bytes())
    resign_document(judged, document)
    refuse(judged, says, accept_conditional=True)


@pytest.mark.parametrize("key", ["refusal_n", "suite_n", "quality_n", "mde"])
def test_a_demand_that_only_rules_can_judge_is_not_passed_over(
    signed: Release, tmp_path: Path, key: str
) -> None:
    asked = mine(tmp_path, f"requires: {{{key}: 1, suites: {{core: 1}}}}")
    with pytest.raises(InputError, match=rf"requires\.{key} is for rules to judge by"):
        check(signed, policy=asked)


# ---- dates ----


@pytest.mark.parametrize("created", ["2026-08-01T12:06:00Z", "2027-01-01T00:00:00+00:00"])
def test_a_report_from_after_its_approval_is_refused(signed: Release, created: str) -> None:
    document = payload_of(signed)
    document["predicate"]["report"]["created"] = created
    resign_document(signed, document)
    refuse(signed, "approves a report that was made after it")


@pytest.mark.parametrize("created", ["yesterday", "2026-02-30T00:00:00Z", "2026-08-01T10:00:00"])
def test_a_report_without_a_usable_date_is_refused(signed: Release, created: str) -> None:
    document = payload_of(signed)
    document["predicate"]["report"]["created"] = created
    resign_document(signed, document)
    refuse(signed, "date that does not exist")


def test_the_last_day_that_there_is(signed: Release) -> None:
    document = payload_of(signed)
    document["predicate"]["timeVerified"] = document["predicate"]["notAfter"] = "9999-12-31T23:59:59Z"
    resign_document(signed, document)
    refuse(signed, "signed in the future")


# ---- what lies where signatures may lie ----


def test_an_oms_signature_that_the_audit_came_without(tmp_path: Path) -> None:
    for single in (False, True):
        folder = tmp_path / str(single)
        folder.mkdir()
        release = make_release(folder, single=single)
        release.sign(oms=False)
        assert check(release).audited
        place = oms_place(release.checkpoint, release.bundle)
        place.write_text("anything")
        assert place.name in refuse(release, "move it away")


def test_a_forged_audit_beside_one_that_lies_elsewhere(release: Release, tmp_path: Path) -> None:
    elsewhere = tmp_path / "X.sigstore.json"
    release.sign(out=elsewhere)
    assert check(release, bundle=elsewhere).audited
    (release.checkpoint / "model.sig").write_text("evil")
    refuse(release, r"model\.sig: is not of the signature", bundle=elsewhere)
    (release.checkpoint / "model.sig").unlink()
    for name in ("report.json", "audit.sigstore.json", "vsa.sigstore.json"):
        (release.checkpoint / ".qaudit").mkdir()
        (release.checkpoint / ".qaudit" / name).write_text("forged")
        refuse(release, r"\.qaudit: is not of the signature that was verified", bundle=elsewhere)
        shutil.rmtree(release.checkpoint / ".qaudit")


def test_the_usual_place_by_another_spelling(signed: Release) -> None:
    spelt = signed.checkpoint / ".." / signed.checkpoint.name / ".qaudit" / "audit.sigstore.json"
    assert check(signed, bundle=spelt).audited
    assert usual_place(signed.checkpoint, spelt) == signed.bundle
    assert usual_place(signed.checkpoint, signed.key) == signed.key
    (signed.checkpoint / "model.sig").write_text("evil")
    refuse(signed, r"model\.sig: not the OMS signature", bundle=spelt)


def test_an_audit_beside_an_oms_signature_that_was_named(signed: Release) -> None:
    named = signed.checkpoint / "model.sig"
    refuse(signed, r"leave it out with --ignore-paths \.qaudit", bundle=named)
    assert not check(signed, bundle=named, ignore_paths=[".qaudit"]).audited


# ---- the recipe ----


@pytest.fixture(params=[False, True])
def realigned(request: Any, tmp_path: Path) -> Release:
    """A checkpoint that qaudit made, with its record beside it; not yet signed."""
    release = make_release(tmp_path, single=request.param)
    work = release.checkpoint.with_name(f"{release.checkpoint.name}.realign")
    work.mkdir()
    (work / "realign.json").write_text(json.dumps(realign_record(release.checkpoint), indent=2))
    return release


def test_the_recipe_travels_with_the_release(realigned: Release) -> None:
    signed = realigned.sign()
    assert signed.recipe is not None
    verified = check(realigned)
    assert verified.recipe == signed.recipe
    assert verified.audit is not None
    made = verified.audit.quantization
    assert made.type == "Q4_K_M"
    assert made.quantizer is not None
    assert (made.quantizer.name, made.quantizer.version) == ("qaudit", "0.1.0")
    assert made.recipe is not None
    assert made.recipe.digest.sha256 == sha256(signed.recipe.read_bytes())
    assert (made.recipe.method, made.recipe.arm) == ("qrealign", "realigned")


def test_a_changed_missing_or_strange_recipe_is_refused(realigned: Release) -> None:
    path = realigned.sign().recipe
    assert path is not None
    good = path.read_bytes()
    path.write_bytes(good.replace(b"qrealign", b"qresafe!"))
    refuse(realigned, r"realign\.json: not the recipe that was signed")
    path.unlink()
    refuse(realigned, r"realign\.json.*the signed recipe must lie beside the bundle")
    path.write_bytes(good)
    assert check(realigned).recipe == path


def test_a_recipe_that_nobody_signed_is_refused(signed: Release) -> None:
    path = signed.checkpoint / ".qaudit" / "realign.json"
    path.write_text("{}")
    refuse(signed, r"realign\.json: nobody signed this recipe")
    path.unlink()
    path.symlink_to(signed.checkpoint / "nowhere")
    refuse(signed, "a symbolic link|nobody signed")


def test_companions_are_read_whole_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert signed_companion(path, 5, sha256(b"12345"), "report") == b"12345"
    with pytest.raises(VerificationFailed, match="longer than 4 bytes"):
        signed_companion(path, 4, sha256(b"12345"), "report")


# ---- the time that a log or a timestamp authority proves ----


@pytest.mark.parametrize(
    ("proven", "says"),
    [
        (timedelta(minutes=6), "was logged in the future"),
        (timedelta(minutes=4), "after the approval had ended"),
        (timedelta(days=-370), "says that it was verified at .*, but it was signed before"),
    ],
)
def test_a_proven_time_that_contradicts_the_period(signed: Release, proven: timedelta, says: str) -> None:
    predicate = parse_statement(parse_bundle(signed.bundle.read_bytes(), "b").payload, "b").predicate
    # a minute before the approval ends
    now = parse_time(predicate.notAfter) - timedelta(minutes=1)
    with pytest.raises(VerificationFailed, match=says):
        check_time(predicate, now + proven, signed.bundle, now)


def test_a_proven_time_within_the_period(signed: Release) -> None:
    predicate = parse_statement(parse_bundle(signed.bundle.read_bytes(), "b").payload, "b").predicate
    verified, not_after = parse_time(predicate.timeVerified), parse_time(predicate.notAfter)
    now = not_after - timedelta(minutes=1)
    for proven in (None, verified - timedelta(minutes=4), verified, now, now + timedelta(seconds=59)):
        check_time(predicate, proven, signed.bundle, now)

"""The examples in docs/examples really run: their steps and scripts, with a loopback Sigstore for GitHub's.

What is not ours is stood in for: `hf`, which uploads, and the server that a consumer starts.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import WORKFLOW
from release_kit import Release, make_release

import qaudit
from qaudit.attest.keyless_signing import KeylessSealer
from qaudit.attest.sigstore_trust import read_trust_config
from qaudit.releases.oci_pack import pack

ROOT = Path(qaudit.__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
WORKFLOW_FILE = EXAMPLES / "release-model.yml"
SIGNER = f"https://github.com/{WORKFLOW}"
PINNED = re.compile(r"[a-z-]+/[a-z-]+@[0-9a-f]{40}")


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with qaudit, and with stand-ins for what is not ours."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script(
        folder / "qaudit",
        f'#!/bin/sh\nexec {sys.executable} -c "from qaudit.cli.main import main; main()" "$@"\n',
    )
    script(folder / "hf", '#!/bin/sh\necho "$@" > hf.said\nls "$3" > hf.uploaded\n')
    script(folder / "server", '#!/bin/sh\necho "serving $*"\nfor last; do :; done\nsha256sum "$last"\n')
    return folder


def environment(programs: Path, **more: str) -> dict[str, str]:
    kept = {n: t for n, t in os.environ.items() if not n.startswith(("GITHUB_", "ACTIONS_", "SIGSTORE_"))}
    return {**kept, "PATH": f"{programs}:{kept['PATH']}", "PYTHONPATH": str(ROOT), **more}


def shell(command: list[str], cwd: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=variables, text=True, check=False, timeout=3600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


# ---- the publisher's workflow ----


def workflow() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(WORKFLOW_FILE.read_text())
    return document


def test_only_the_job_that_runs_no_model_may_ask_for_an_identity_token() -> None:
    document = workflow()
    assert document["permissions"] == {}
    jobs = document["jobs"]
    assert jobs["audit"]["permissions"] == {"contents": "read"}
    assert jobs["sign"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert jobs["sign"]["needs"] == "audit"
    assert "secrets." not in yaml.safe_dump(jobs["audit"])
    assert not [step for step in jobs["sign"]["steps"] if "qaudit audit" in step.get("run", "")]


def test_actions_are_pinned_and_nothing_of_a_run_is_pasted_into_a_script() -> None:
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(PINNED.fullmatch(name) for name in used), used
    installs = [step["run"] for step in steps if "pip install" in step.get("run", "")]
    assert len(installs) == len(workflow()["jobs"])
    assert all(" --require-hashes -r .github/" in text for text in installs), installs
    # an expression inside a script runs whatever its value says
    assert not [step for step in steps if "${{" in step.get("run", "")]


def test_tokens_are_in_the_environment_of_the_step_that_needs_them_only() -> None:
    for job in workflow()["jobs"].values():
        for step in job["steps"]:
            told = yaml.safe_dump({k: v for k, v in step.items() if k != "env"})
            assert "secrets." not in told
            if "secrets." in str(step.get("env", {})):
                assert step["name"] == "Publish"


@dataclass
class Run:
    """A run of the workflow on this machine: every script of it, in order, until one fails."""

    folder: Path
    variables: dict[str, str]
    expressions: dict[str, str]
    said: str = ""
    failed: str | None = None

    def go(self) -> "Run":
        document = workflow()
        for job in document["jobs"].values():
            for step in job["steps"]:
                if "run" not in step or step["name"] == "Install":
                    continue
                own = {name: self._value(text) for name, text in step.get("env", {}).items()}
                done = shell(
                    # GitHub's own way of running a script
                    ["bash", "-e", "-c", step["run"]], self.folder, {**self.variables, **document["env"], **own}
                )  # fmt: skip
                self.said += done.stdout
                if done.returncode:
                    self.failed = step["name"]
                    return self
        return self

    def _value(self, text: str) -> str:
        if not text.startswith("${{"):
            return text
        (value,) = [told for name, told in self.expressions.items() if name in text]
        return value


@pytest.fixture
def run(
    tmp_path: Path, programs: Path, sigstore: LoopbackSigstore, f16: Path, member: Callable[[str], Path]
) -> Callable[[str], Run]:
    """Run the workflow on a member of the lab."""

    def go(candidate: str) -> Run:
        folder = tmp_path / "checkout"
        (folder / "models").mkdir(parents=True)
        shutil.copy(member(candidate), folder / "models" / "model-Q4_K_M.gguf")
        shutil.copy(f16, folder / "models" / "model-F16.gguf")
        variables = environment(
            programs,
            **sigstore.oidc.ambient_environment(),
            GITHUB_WORKFLOW_REF=WORKFLOW,
            GITHUB_REPOSITORY="example/models",
            GITHUB_REF="refs/heads/main",
            GITHUB_REF_NAME="main",
        )
        expressions = {
            "SIGSTORE_TRUST_CONFIG": str(sigstore.write_trust_config(tmp_path / "trust.json")),
            "SIGSTORE_ISSUER": sigstore.url,
            "HF_TOKEN": "hf_of_the_release_environment",
            "HUB_REPO": "org/repo",
        }
        return Run(folder, variables, expressions).go()

    return go


@pytest.mark.slow
def test_the_workflow_audits_signs_verifies_and_publishes(run: Callable[[str], Run]) -> None:
    done = run("Q8_0")
    assert done.failed is None, done.said
    assert f"as signed by {SIGNER}" in done.said
    assert (
        (done.folder / "hf.said").read_text().startswith("upload org/repo release . --commit-message main,")
    )
    uploaded = set((done.folder / "hf.uploaded").read_text().split())
    name = "model-Q4_K_M.gguf"
    sidecars = ("sigstore.json", "report.json", "policy.yaml", "vsa.sigstore.json", "sig")
    assert uploaded == {name, *(f"{name}.{suffix}" for suffix in sidecars)}
    assert "hf_of_the_release_environment" not in done.said


@pytest.mark.slow
def test_a_checkpoint_that_lost_its_refusals_is_never_signed(run: Callable[[str], Run]) -> None:
    done = run("ablated-Q4_K_M")
    assert done.failed == "Audit", done.said
    assert not (done.folder / "release").exists()
    assert not (done.folder / "hf.said").exists()


# ---- consumers ----


@dataclass
class Shop:
    """A release that the workflow's identity signed, and the variables that a consumer sets."""

    release: Release
    variables: dict[str, str]

    @property
    def model(self) -> Path:
        return self.release.checkpoint


@pytest.fixture
def shop(tmp_path: Path, programs: Path, sigstore: LoopbackSigstore, q8: Path) -> Shop:
    folder = tmp_path / "release"
    folder.mkdir()
    release = make_release(folder, single=True)
    shutil.copy(q8, release.checkpoint)
    release = release.audited_again()
    config = sigstore.write_trust_config(tmp_path / "trust.json")
    release.sign_with(KeylessSealer(read_trust_config(config), sigstore.oidc.workflow_token()), now=None)
    sigstore.stop()  # consumers ask nobody
    told = {"SIGNER": SIGNER, "ISSUER": sigstore.url, "TRUST_CONFIG": str(config)}
    return Shop(release, environment(programs, **told))


@pytest.fixture
def folder_shop(tmp_path: Path, programs: Path, sigstore: LoopbackSigstore) -> Shop:
    (tmp_path / "release").mkdir()
    release = make_release(tmp_path / "release")
    config = sigstore.write_trust_config(tmp_path / "trust.json")
    release = release.audited_again()
    release.sign_with(KeylessSealer(read_trust_config(config), sigstore.oidc.workflow_token()), now=None)
    sigstore.stop()
    told = {"SIGNER": SIGNER, "ISSUER": sigstore.url, "TRUST_CONFIG": str(config)}
    return Shop(release, environment(programs, **told))


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def serve(shop: Shop, out: Path, release: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [
        "sh",
        str(EXAMPLES / "load_model.sh"),
        release or str(shop.model),
        str(out),
        "--",
        "server",
        "--port",
        "80",
    ]
    return shell(command, out.parent, shop.variables)


def test_the_server_starts_on_the_copy_that_was_verified(shop: Shop, tmp_path: Path) -> None:
    done = serve(shop, tmp_path / "today")
    assert done.returncode == 0, done.stdout
    copy = tmp_path / "today" / "model.gguf"
    assert f"serving --port 80 --model {copy}" in done.stdout
    assert f"{hashlib.sha256(shop.model.read_bytes()).hexdigest()}  {copy}" in done.stdout


@pytest.mark.parametrize("kind", ["folder", "layout"])
def test_of_a_folder_or_layout_the_server_gets_the_file_that_is_named(
    folder_shop: Shop, tmp_path: Path, kind: str
) -> None:
    release = str(folder_shop.model)
    if kind == "layout":
        release = f"oci:{pack(folder_shop.model, tmp_path / 'layout', tag='v1').layout}:v1"
    folder_shop.variables["MODEL"] = "weights.gguf"
    done = serve(folder_shop, tmp_path / "today", release)
    assert done.returncode == 0, done.stdout
    assert f"serving --port 80 --model {tmp_path / 'today' / 'weights.gguf'}\n" in done.stdout
    folder_shop.variables["MODEL"] = "other.gguf"
    done = serve(folder_shop, tmp_path / "tomorrow", release)
    assert done.returncode == 2
    assert done.stdout.endswith("other.gguf: is not in the release; MODEL names a file of it\n")
    assert "serving" not in done.stdout


def test_without_a_name_the_server_gets_the_folder(folder_shop: Shop, tmp_path: Path) -> None:
    done = serve(folder_shop, tmp_path / "today")
    assert f"serving --port 80 --model {tmp_path / 'today'}\n" in done.stdout


@pytest.mark.parametrize("what", ["changed bytes", "another signer", "no signature"])
def test_the_server_does_not_start_otherwise(shop: Shop, tmp_path: Path, what: str) -> None:
    if what == "changed bytes":
        spoil(shop.model)
    elif what == "another signer":
        shop.variables["SIGNER"] = SIGNER.replace("main", "evil")
    else:
        for path in shop.model.parent.glob("model.gguf.*"):
            path.unlink()
    done = serve(shop, tmp_path / "today")
    assert done.returncode == (2 if what == "no signature" else 1)
    assert "serving" not in done.stdout
    assert not (tmp_path / "today").exists()


def test_python_loads_what_was_verified_and_nothing_else(shop: Shop, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    command = [sys.executable, str(EXAMPLES / "load_model.py"), str(shop.model), "hello"]
    done = shell(command, tmp_path, shop.variables)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("approved under the policy house\n")
    spoil(shop.model)
    done = shell(command, tmp_path, shop.variables)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{shop.model}: not as signed: model.gguf: changed")

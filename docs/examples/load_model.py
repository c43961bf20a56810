"""Loads a model only if it was audited and signed by the publisher that is expected here.

    python load_model.py hf://org/repo@COMMIT/model-Q4_K_M.gguf
    python load_model.py models/model-Q4_K_M.gguf

Needs qaudit[sign,hub] and llama-cpp-python. Every refusal is one line and an exit code other than 0.
"""

import os
import sys
from pathlib import Path
from typing import Any

import qaudit
from qaudit.attest.keyless_verifying import Identity
from qaudit.attest.sigstore_trust import packaged_trust, read_trust_config
from qaudit.errors import QauditError

# whom this program trusts is written here and not read from the release
SIGNER = os.environ.get(
    "SIGNER", "https://github.com/ORG/REPO/.github/workflows/release-model.yml@refs/tags/model-v1"
)
ISSUER = os.environ.get("ISSUER", "https://token.actions.githubusercontent.com")
TRUST = os.environ.get("TRUST_CONFIG")


def answer(release: str, question: str) -> str:
    """Return the model's answer; raises QauditError where it may not be loaded."""
    from llama_cpp import Llama

    trust = read_trust_config(Path(TRUST)) if TRUST else packaged_trust("production")
    holding = qaudit.verified_checkpoint(
        release, identity=Identity(SIGNER, ISSUER, trust), require_audit=True
    )
    # what was verified is a private copy, and only that is loaded: nobody can swap it in between
    with holding as path:
        audit = holding.verified.audit
        if audit is not None:
            sys.stderr.write(f"{audit.verdict.decision} under the policy {audit.policy.name}\n")
        llama = Llama(str(path), n_ctx=512, verbose=False)
        try:
            said: Any = llama.create_completion(question, max_tokens=32, temperature=0.0)
        finally:
            llama.close()
    return str(said["choices"][0]["text"])


def main() -> int:
    """Answer one question; return the exit code."""
    try:
        sys.stdout.write(answer(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "hello") + "\n")
    except QauditError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())

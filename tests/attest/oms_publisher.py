"""Somebody else who signs a model with the model-signing library."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from model_signing import hashing
from model_signing import signing as oms_signing
from release_kit import NOW, make_folder_checkpoint

from qaudit.attest import Verified, verify
from qaudit.attest.local_key import generate_key
from qaudit.errors import VerificationFailed


class Publisher:
    """Signs with the model-signing library, as others do."""

    def __init__(self, folder: Path) -> None:
        self.model = make_folder_checkpoint(folder)
        self.signature = self.model / "model.sig"
        self.key = folder / "k.pem"
        self.public = generate_key(self.key)

    def sign(
        self,
        config: Any = None,
        ignored: Iterable[str] = ("model.sig",),
        git: bool = True,
        model: Path | None = None,
        signature: Path | None = None,
    ) -> None:
        config = config or hashing.Config()
        config.set_ignored_paths(paths=list(ignored), ignore_git_paths=git)
        oms_signing.Config().use_elliptic_key_signer(private_key=self.key).set_hashing_config(config).sign(
            model or self.model, signature or self.signature
        )

    def sign_with_certificate(self, key: Path, certificate: Path, chain: Path) -> None:
        config = oms_signing.Config().use_certificate_signer(
            private_key=key, signing_certificate=certificate, certificate_chain=[chain]
        )
        config.set_hashing_config(hashing.Config().set_ignored_paths(paths=["model.sig"]))
        config.sign(self.model, self.signature)

    def check(self, **options: Any) -> Verified:
        return verify(self.model, key=self.public, now=NOW, **options)

    def refuse(self, says: str, **options: Any) -> None:
        with pytest.raises(VerificationFailed, match=says) as caught:
            self.check(**options)
        assert str(caught.value).isprintable()

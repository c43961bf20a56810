"""Both kinds of delivery are what the chain asks for."""

import inspect

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from realign.delivery import Delivery
from realign.folder_delivery import FolderDelivery
from realign.gguf_delivery import GgufDelivery

METHODS = ("planned", "grids", "baseline", "untrained", "notes", "write")


@pytest.mark.parametrize("kind", [FolderDelivery, GgufDelivery])
def test_has_what_the_chain_asks_for(kind: type) -> None:
    for name in METHODS:
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Delivery, name))

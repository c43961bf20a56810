"""Packed weights of a download: each folder's modules, its configuration, and the values of its scales."""

from collections.abc import Iterator

from qaudit.errors import InputError
from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case, opened
from qaudit.static.configs.documents import folder_claims
from qaudit.static.configs.quantization import OTHERS
from qaudit.static.folder_view import FolderView
from qaudit.static.model_parts import Examined
from qaudit.static.tensors import layout_rules
from qaudit.static.tensors.faults import Fault
from qaudit.static.tensors.layout_case import LayoutCase
from qaudit.static.tensors.layout_values import faults_of_values
from qaudit.static.tensors.modules import gathered
from qaudit.static.tensors.value_reading import Budget, by_file
from qaudit.static.tensors.weight_files import WeightFolder, weight_folders


def inspect_layouts(folder: FolderView, case: Case) -> Examined:
    """Look at how the weights of every folder are packed."""
    examined = Examined()
    for home in weight_folders(folder):
        if home.bloated:
            why = "a header holds more tensors than any model"
            examined.surfaces.append(Surface(home.path or ".", "layout", "skipped", why))
            continue
        claims = folder_claims(folder, home.path)
        layout = LayoutCase(
            place=claims.place if claims else home.path or folder.name,
            modules=gathered(home.tensors()),
            claim=claims.stated[0] if claims and claims.stated else None,
            whole=home.complete,
            configured=claims is not None and not folder.single,
        )
        if not layout.packed() and layout.claim is None:
            continue
        if layout.claim is not None and layout.claim.method in OTHERS:
            why = f"how {layout.claim.method} packs is not checked here"
            examined.surfaces.append(Surface(home.path or ".", "layout", "partial", why))
            continue
        layout.check()
        budget = Budget(deep=case.deep, whole=sum(walk.size for _, walk in home.walks))
        layout.faults += _values(layout, budget, examined)
        examined.findings += layout_rules.BOOK.findings(layout)
        examined.surfaces += _surfaces(home, budget)
    return examined


def _values(layout: LayoutCase, budget: Budget, examined: Examined) -> Iterator[Fault]:
    wanted = {part.name: module for module in layout.packed() for part in module.parts.values()}
    tensors = [part for module in layout.packed() for part in module.parts.values()]
    for path, held in by_file(tensors):
        try:
            with opened(held[0].entry) as source:
                if source.local:
                    for tensor in held:
                        yield from faults_of_values(source, wanted[tensor.name], tensor, layout.claim, budget)
                else:
                    _left_out(source, examined)
        except InputError as error:
            examined.surfaces.append(Surface(path, "weights", "skipped", str(error)))


def _left_out(source: ByteSource, examined: Examined) -> None:
    why = "only headers are fetched from a hub; download it to have scales looked at"
    examined.surfaces.append(Surface(source.name, "weights", "skipped", why))


def _surfaces(home: WeightFolder, budget: Budget) -> Iterator[Surface]:
    if budget.sampled:
        why = f"of {budget.sampled} of {budget.read} tensors of scales the beginning; --deep reads them whole"
        yield Surface(home.path or ".", "weights", "partial", why)

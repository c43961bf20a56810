"""Every index of a download (`*.safetensors.index.json`, `*.bin.index.json`), held against its shards."""

from collections.abc import Iterator, Mapping

from qaudit.errors import InputError
from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case, opened
from qaudit.static.configs.lenient_json import read_json
from qaudit.static.folder_view import Entry, FolderView
from qaudit.static.model_parts import Examined
from qaudit.static.tensors import formats, index_rules
from qaudit.static.tensors.index_case import IndexCase, is_plain
from qaudit.static.tensors.weight_files import WeightFolder, folder_of, weight_folders

MAX_INDEX = 64 << 20
MOST_TENSORS = 1_000_000
INDEX_SUFFIX = ".index.json"


def inspect_index(folder: FolderView, case: Case) -> Examined:
    """Look at every index of a download, and at which of several sets of weights would be loaded."""
    examined = Examined()
    homes = {home.path: home for home in weight_folders(folder)}
    for home in homes.values():
        examined.surfaces += [Surface(path, "safetensors", "skipped", why) for path, why in home.unread]
    indexes = [entry for entry in folder.entries if entry.path.endswith(INDEX_SUFFIX)]
    beside: dict[str, dict[str, Entry]] = {folder_of(entry.path): {} for entry in indexes}
    for entry in folder.entries:
        home_path = folder_of(entry.path)
        if home_path in beside:
            beside[home_path][entry.path[len(home_path) :]] = entry
    for entry in indexes:
        try:
            found = _read(entry, homes, beside[folder_of(entry.path)], single=folder.single)
        except InputError as error:
            examined.surfaces.append(Surface(entry.path, "index", "skipped", str(error)))
            continue
        examined.findings += index_rules.BOOK.findings(found)
        examined.surfaces += _absent(found)
        examined.surfaces.append(Surface(entry.path, "index", "examined"))
    if not folder.single:
        examined.findings += formats.BOOK.findings(folder)
    return examined


def _read(
    entry: Entry, homes: Mapping[str, WeightFolder], beside: Mapping[str, Entry], *, single: bool
) -> IndexCase:
    with opened(entry) as source:
        document = read_json(_bounded(source), MOST_TENSORS)
    of_pickles = ".safetensors" not in entry.path
    home = None if of_pickles else homes.get(folder_of(entry.path))
    found = IndexCase(entry, document, folder=home, beside=beside, single=single)
    value = document.value
    if isinstance(value, dict):
        metadata = value.get("metadata")
        found.total_size = metadata.get("total_size") if isinstance(metadata, dict) else None
        mapped = value.get("weight_map")
        for name, file in mapped.items() if isinstance(mapped, dict) else ():
            if isinstance(file, str):
                found.weight_map[name] = file
            else:
                found.foreign.append(ascii(name[:80]))
    return found


def _bounded(source: ByteSource) -> bytes:
    if source.size > MAX_INDEX:
        raise InputError(f"{source.name}: {source.size} bytes, more than {MAX_INDEX} are not read")
    return source.read_at(0, source.size)


def _absent(found: IndexCase) -> Iterator[Surface]:
    for name in [] if found.single else found.shards:
        if is_plain(name) and name not in found.beside:
            yield Surface(folder_of(found.place) + name, "safetensors", "absent", f"{found.place} names it")

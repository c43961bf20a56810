from dataclasses import replace

import pytest
from sample_inspection import passing

from qaudit.report.inspection_places import Places
from qaudit.values import Finding, Inspection, Surface


def at(location: str) -> Finding:
    return Finding("f/x", "low", "T", location, "E", "R")


def folder(*paths: str, target: str = "models/tiny/") -> Inspection:
    surfaces = tuple(Surface(path, "other", "examined") for path in paths)
    return replace(passing(), target=target, surfaces=surfaces, files=())


@pytest.mark.parametrize(
    ("location", "file"),
    [
        ("a.gguf", "a.gguf"),
        ("a.gguf:general.name", "a.gguf"),
        ("a.gguf@byte 7", "a.gguf"),
        ("a.gguf2:x", None),
        ("sub/a.gguf:x", "sub/a.gguf"),
        ("a.gguf:odd:x", "a.gguf:odd"),
        ("the whole", None),
        ("", None),
    ],
)
def test_a_location_begins_with_its_file_and_the_longest_counts(location: str, file: str | None) -> None:
    places = Places(folder("a.gguf", "sub/a.gguf", "a.gguf:odd", ""))
    assert places.file_of(at(location)) == file


def test_files_of_a_folder_lie_in_it() -> None:
    places = Places(folder("a.gguf"))
    assert places.of_finding(at("a.gguf:x")) == "models/tiny/a.gguf"
    assert places.of_finding(at("nowhere")) == "models/tiny/"


def test_a_single_file_is_the_target_and_its_shards_lie_beside_it() -> None:
    made = replace(folder("m-1.gguf", "m-2.gguf", target="models/m-1.gguf"), facts={"kind": "file"})
    places = Places(made)
    assert places.of_finding(at("m-1.gguf:x")) == "models/m-1.gguf"
    assert places.of_finding(at("m-2.gguf:x")) == "models/m-2.gguf"
    assert places.of_finding(at("other")) == "models/m-1.gguf"

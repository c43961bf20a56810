import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_hub import LoopbackHub

from qaudit.checkpoints import hub_ranges
from qaudit.checkpoints.hub_client import ask_listing, place_from_environment
from qaudit.checkpoints.hub_listing import HubFile, every_file
from qaudit.checkpoints.hub_ranges import HubRanges
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.errors import HubUnreachable, InputError, LimitExceeded, MalformedFile

BIG = random.Random(0).randbytes(300_000)


def opened(hub: LoopbackHub, data: bytes = BIG, name: str = "w.gguf") -> tuple[HubRanges, HubFile]:
    hub.push("o/r", {name: data})
    place = place_from_environment()
    listing = ask_listing(place, HubSpec("o/r"), every_file)
    return HubRanges(place, HubSpec("o/r", listing.commit)), listing.by_path[name]


def test_a_header_costs_one_piece(hub: LoopbackHub) -> None:
    ranges, file = opened(hub)
    assert ranges.read(file, 0, 4) == BIG[:4]
    assert ranges.read(file, 100, 1000) == BIG[100:1100]
    assert hub.bytes_of("w.gguf") == hub_ranges.PIECE == ranges.fetched
    (asked,) = [a for a in hub.asked if "/resolve/" in a.path]
    assert asked.headers["range"] == f"bytes=0-{hub_ranges.PIECE - 1}"
    # always the commit, so that a push in between changes nothing
    assert f"/resolve/{ranges._spec.revision}/" in asked.path


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 310_000), st.integers(0, 310_000)), max_size=6))
def test_any_part_is_what_the_file_has_there(hub: LoopbackHub, parts: list[tuple[int, int]]) -> None:
    ranges, file = opened(hub)
    for offset, length in parts:
        assert ranges.read(file, offset, length) == BIG[offset : offset + length]


def test_reading_on_takes_fewer_and_larger_pieces(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_ranges, "PIECE", 1000)
    ranges, file = opened(hub)
    assert b"".join(ranges.read(file, at, 500) for at in range(0, len(BIG), 500)) == BIG
    # 1000, 2000, 4000 ... and not three hundred
    assert len([a for a in hub.asked if "/resolve/" in a.path]) <= 10
    assert ranges.fetched == len(BIG)


def test_what_was_stored_longest_ago_goes_first(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_ranges, "STORED", 150_000)
    ranges, file = opened(hub)
    for offset in (0, 70_000, 140_000):
        ranges.read(file, offset, 10)
    before = ranges.fetched
    ranges.read(file, 140_000, 10)
    assert ranges.fetched == before
    ranges.read(file, 0, 10)
    assert ranges.fetched > before
    assert sum(map(len, ranges._pieces.values())) <= 150_000


def test_several_threads_get_their_own_parts(hub: LoopbackHub) -> None:
    ranges, file = opened(hub)
    spots = [(at, 777) for at in range(0, 299_000, 9_000)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda spot: ranges.read(file, *spot), spots))
    assert found == [BIG[at : at + length] for at, length in spots]
    assert threading.active_count() < 50


def test_a_small_file_is_held_to_the_listed_digest(hub: LoopbackHub) -> None:
    for name in ("config.json", "small.gguf"):  # git's own digest, and LFS's
        ranges, file = opened(hub, b'{"a": 1}', name)
        assert ranges.read(file, 0, 99) == b'{"a": 1}'
        hub.tampered[name] = b'{"a": 2}'
        other = HubRanges(ranges._place, ranges._spec)
        with pytest.raises(MalformedFile, match="other bytes than those that it lists"):
            other.read(file, 0, 1)


def test_an_empty_file_is_not_asked_for(hub: LoopbackHub) -> None:
    ranges, file = opened(hub, b"", "empty.txt")
    assert ranges.read(file, 0, 10) == b""
    assert ranges.fetched == 0


def test_a_hub_without_ranges_is_named(hub: LoopbackHub) -> None:
    hub.ignores_ranges = True
    ranges, file = opened(hub)
    with pytest.raises(InputError, match="sends no parts of files; download it, then look again"):
        ranges.read(file, 0, 4)
    small, whole = opened(hub, b"{}", "config.json")
    assert small.read(whole, 0, 4) == b"{}"


@pytest.mark.parametrize("told", ["bytes 5-65540/300000", "bytes 0-65535/300001", "bytes 0-/*", "nonsense"])
def test_a_range_that_lies_is_refused(hub: LoopbackHub, told: str) -> None:
    hub.told_range = told
    ranges, file = opened(hub)
    with pytest.raises(MalformedFile, match="answers with the range"):
        ranges.read(file, 0, 4)


def test_a_connection_that_breaks_is_told(hub: LoopbackHub) -> None:
    ranges, file = opened(hub)
    hub.cuts["w.gguf"] = [100] * 10
    with pytest.raises((HubUnreachable, MalformedFile)):
        ranges.read(file, 0, 4)


def test_nobody_makes_us_fetch_for_ever(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_ranges, "MOST_OF_A_FILE", 150_000)
    ranges, file = opened(hub)
    for offset in (0, 70_000):
        ranges.read(file, offset, 10)
    with pytest.raises(LimitExceeded, match="more than 150000 bytes of it would be fetched"):
        ranges.read(file, 140_000, 10)


def test_the_token_goes_to_the_hub_alone(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with LoopbackHub() as store:
        hub.token = "hf_secret"
        ranges, file = opened(hub)
        store.push("o/r", {"w.gguf": BIG})
        hub.elsewhere = store
        assert ranges.read(file, 0, 4) == BIG[:4]
        assert all("authorization" in a.headers for a in hub.asked)
        assert store.asked
        assert not any("authorization" in a.headers for a in store.asked)

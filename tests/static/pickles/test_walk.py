from qaudit.static.pickles.walk import Import, PickleWalk


def test_places_count_from_the_start_of_the_file() -> None:
    assert PickleWalk("a.npy", 10, base=128).place(2) == "a.npy@byte 130"
    assert Import("os", "path.join", 0, "GLOBAL").full_name == "os.path.join"

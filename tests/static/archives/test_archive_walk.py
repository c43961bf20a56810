from qaudit.static.archives.archive_walk import MAX_FAULTS, ArchiveWalk


def test_keeps_the_first_faults_only() -> None:
    walk = ArchiveWalk("x", 10, "zip")
    for number in range(MAX_FAULTS + 5):
        walk.fault("broken", "x", str(number))
        walk.stretch("gap", number, 1, "bytes", "")
    assert len(walk.faults) == MAX_FAULTS
    assert walk.faults[1].location == "x@byte 0"

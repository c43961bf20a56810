"""Write the lab's calibration sets to disk.

    python -m qaudit.lab.training.write_calibration [--out realign/calibration]

The same version of qaudit always writes the same bytes; tests/lab/test_calibration.py compares them
with what ships.
"""

import argparse
from pathlib import Path

from qaudit.lab.calibration import calibration_sets
from qaudit.lab.training.write_suites import header
from qaudit.suites.writing import write_suite


def main() -> None:
    """Write both sets under a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("realign/calibration"), help="folder that holds the sets"
    )
    options = parser.parse_args()
    for each in calibration_sets():
        written = write_suite(options.out / each.name, header(each), each.items, replace=True)
        print(f"wrote {options.out / each.name}: {len(written.items)} items, sha256 {written.sha256[:16]}")


if __name__ == "__main__":
    main()

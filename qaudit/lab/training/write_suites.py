"""Write the lab's suites to disk.

    python -m qaudit.lab.training.write_suites [--out suites]

The same version of qaudit always writes the same bytes; tests/lab/test_grammar.py compares them with
what ships.
"""

import argparse
from pathlib import Path

from qaudit.lab import grammar
from qaudit.lab.grammar import LabSuite
from qaudit.suites.writing import SuiteHeader, write_suite

VERSION = "1"
LICENCE = "Apache-2.0"
# the suite whose asks the adaptive one puts into frames
DERIVED = {"lab-adaptive": "lab-core"}


def header(suite: LabSuite) -> SuiteHeader:
    """Return what suite.yaml says about one suite."""
    return SuiteHeader(
        suite.name,
        VERSION,
        LICENCE,
        suite.expectation,
        suite.description,
        suite.categories,
        DERIVED.get(suite.name),
    )


def main() -> None:
    """Write every suite under a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("suites"), help="folder that holds the suites")
    options = parser.parse_args()
    for suite in grammar.suites():
        written = write_suite(options.out / suite.name, header(suite), suite.items, replace=True)
        print(f"wrote {options.out / suite.name}: {len(written.items)} items, sha256 {written.sha256[:16]}")


if __name__ == "__main__":
    main()

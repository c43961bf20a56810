"""Write the published JSON Schema: `python -m qaudit.report.publish_schema docs/schema`."""

import sys
from pathlib import Path

from qaudit.errors import QauditError
from qaudit.files import make_folder, write_atomically
from qaudit.report.report_schema import FILE_NAME, schema_text


def publish(folder: Path) -> Path:
    """Write the schema into a folder and return its path.

    Raises:
        OutputProblem: the folder or the file cannot be written.
    """
    make_folder(folder)
    path = folder / FILE_NAME
    write_atomically(path, schema_text())
    return path


def main(arguments: list[str]) -> int:
    """Publish into the folder that is named; return an exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m qaudit.report.publish_schema FOLDER\n")
        return 2
    try:
        sys.stdout.write(f"{publish(Path(arguments[0]))}\n")
    except QauditError as error:
        sys.stderr.write(f"qaudit: {error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

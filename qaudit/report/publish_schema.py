"""Write the JSON Schemas of our documents: `python -m qaudit.report.publish_schema docs/schema`."""

import sys
from pathlib import Path

from qaudit.errors import QauditError
from qaudit.files import make_folder, write_atomically
from qaudit.report import inspection_schema, report_schema, weights_schema


def publish(folder: Path) -> list[Path]:
    """Write the schemas into a folder and return their paths.

    Raises:
        OutputProblem: the folder or a file cannot be written.
    """
    make_folder(folder)
    paths = []
    for schema in (report_schema, inspection_schema, weights_schema):
        paths.append(folder / schema.FILE_NAME)
        write_atomically(paths[-1], schema.schema_text())
    return paths


def main(arguments: list[str]) -> int:
    """Publish into the folder that is named; return an exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m qaudit.report.publish_schema FOLDER\n")
        return 2
    try:
        sys.stdout.write("".join(f"{path}\n" for path in publish(Path(arguments[0]))))
    except QauditError as error:
        sys.stderr.write(f"qaudit: {error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

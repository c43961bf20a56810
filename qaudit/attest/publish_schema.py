"""Write the predicate's JSON Schema: `python -m qaudit.attest.publish_schema docs/schema`."""

import json
import sys
from pathlib import Path

from qaudit.attest.predicate import predicate_schema
from qaudit.errors import QauditError
from qaudit.files import make_folder, write_atomically

FILE_NAME = "audit-predicate.v1.json"


def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(predicate_schema(), indent=2, ensure_ascii=True) + "\n"


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
        sys.stderr.write("usage: python -m qaudit.attest.publish_schema FOLDER\n")
        return 2
    try:
        sys.stdout.write(f"{publish(Path(arguments[0]))}\n")
    except QauditError as error:
        sys.stderr.write(f"qaudit: {error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

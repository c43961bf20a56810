"""Where something that was found lies, as a path from where the command was given."""

from pathlib import PurePath

from qaudit.findings import Finding, Inspection


class Places:
    """The files of one inspection by what findings call them."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        named = {surface.path for surface in inspection.surfaces} | {file.path for file in inspection.files}
        self._files = sorted(named - {""}, key=len, reverse=True)

    def file_of(self, finding: Finding) -> str | None:
        """Return the file of the download that a finding is about; None for the download as a whole."""
        at = finding.location
        for path in self._files:
            if at.startswith(path) and at[len(path) : len(path) + 1] in ("", ":", "@", "#", " ", "!"):
                return path
        return None

    def of_finding(self, finding: Finding) -> str:
        """Return the path of the file that a finding is about, else of the target."""
        return self.of_file(self.file_of(finding) or "")

    def of_file(self, path: str) -> str:
        """Return the path of a file of the download, relative to where the target's name is."""
        target = self._inspection.target
        if self._inspection.facts.get("kind") == "file":
            return target if path in ("", PurePath(target).name) else str(PurePath(target).with_name(path))
        return f"{target.rstrip('/')}/{path}".rstrip("/") if path else target

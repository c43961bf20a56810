"""What to audit: a manifest in YAML, or the `zoo.json` of a lab.

    defaults: {reference: models/F16.gguf, policy: default, limit: 50}
    rows:
      - {name: Q4_K_M, checkpoint: models/Q4_K_M.gguf}
      - {name: awq, checkpoint: "hf://org/model-awq", reference: "hf://org/model", label: clean,
         expected: {status: pass}}

Paths are relative to the manifest's folder; `hf://`, `http://` and `https://` are passed on as they
are. A policy or suite with a slash or an ending is a path, without it is the name of a shipped one.
The file may come from anyone: bounded, no alias, no unknown key, and names that make safe folders.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from qaudit.engines.choices import Device, Dtype, Kernels
from qaudit.errors import InputError, MalformedFile
from qaudit.files import read_bounded
from qaudit.policy.catalogue import nearest
from qaudit.strict_json import load_strict
from qaudit.strict_yaml import load_strict_yaml
from qaudit.values import Status

MAX_MANIFEST_BYTES = 1 << 20
MAX_ROWS = 1000
MAX_DEPTH = 12
REMOTE = ("hf://", "http://", "https://")
# what really is a quantization of the lab's reference and nothing else stands on one ladder
LADDER_LABELS = ("clean", "hidden_danger")
REMEDY = "see qaudit matrix --help"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Spec = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class _Boundary(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class _Expected(_Boundary):
    status: Status
    rules: Annotated[list[Word], Field(max_length=100)] = []
    category: Word | None = None


class _Chosen(_Boundary):
    """What a row may choose, and the defaults for all rows."""

    reference: Spec | None = None
    policy: Spec | None = None
    suites: Annotated[list[Spec], Field(min_length=1, max_length=100)] | None = None
    limit: Count | None = None
    max_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    context: Annotated[int, Field(ge=64, le=10_000_000)] | None = None
    parallel: Annotated[int, Field(ge=1, le=250)] | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    gpu_layers: Annotated[int, Field(ge=-1, le=10_000)] | None = None
    device: Device | None = None
    dtype: Dtype | None = None
    kernels: Kernels | None = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    chat_template: Spec | None = None
    calibration: Spec | None = None


class _Row(_Chosen):
    name: Name
    checkpoint: Spec
    series: Word | None = None
    label: Word | None = None
    expected: _Expected | None = None


class _ManifestFile(_Boundary):
    defaults: _Chosen = _Chosen()
    rows: Annotated[list[_Row], Field(min_length=1, max_length=MAX_ROWS)]


class _ZooRow(_Boundary):
    # a lab writes more about its members than is needed here
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    name: Name
    path: Spec
    reference: Spec
    format: Word
    label: Word
    expected: _Expected


class _Zoo(_Boundary):
    members: Annotated[list[_ZooRow], Field(min_length=1, max_length=MAX_ROWS)]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a labelled row must come to: the verdict, rules that fail, a category that one of them names."""

    status: Status
    rules: tuple[str, ...] = ()
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a row is audited; None where the audit's own default holds."""

    policy: str | None = None
    suites: tuple[str, ...] | None = None
    limit: int | None = None
    max_tokens: int | None = None
    context: int | None = None
    parallel: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    device: Device | None = None
    dtype: Dtype | None = None
    kernels: Kernels | None = None
    concurrency: int | None = None
    chat_template: str | None = None
    calibration: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One checkpoint to audit. `checkpoint` and `reference` are as written; `series` joins a ladder."""

    name: str
    checkpoint: str
    reference: str
    settings: Settings = Settings()
    series: str | None = None
    label: str | None = None
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The rows in their order, and the folder that their paths are relative to."""

    folder: Path
    rows: tuple[Row, ...]

    def only(self, names: Sequence[str]) -> "Manifest":
        """Return the manifest with the named rows; all when none is named.

        Raises:
            InputError: no row has that name.
        """
        known = [row.name for row in self.rows]
        for name in names:
            if name not in known:
                raise InputError(
                    f"--only {name}: the manifest has no such row; did you mean {nearest(name, known)!r}?"
                )
        return replace(self, rows=tuple(row for row in self.rows if not names or row.name in names))

    def with_settings(self, **chosen: Any) -> "Manifest":  # noqa: ANN401
        """Return the manifest with settings that hold for every row, whatever the row says."""
        given = {name: value for name, value in chosen.items() if value is not None}
        rows = tuple(replace(row, settings=replace(row.settings, **given)) for row in self.rows)
        return replace(self, rows=rows)


def load_manifest(path: Path) -> Manifest:
    """Read a manifest, or a lab's zoo.json, whose reference is no row.

    Raises:
        MalformedFile: it is neither; the first wrong key is named, with the nearest known one.
        InputError: it cannot be read.
    """
    data = read_bounded(path, MAX_MANIFEST_BYTES)
    try:
        raw = load_strict(data) if path.suffix.lower() == ".json" else load_strict_yaml(data, MAX_DEPTH)
    except ValueError as error:
        raise MalformedFile(path, f"not a manifest: {error}", "mend it") from error
    folder = path.absolute().parent
    try:
        if isinstance(raw, list):
            rows = _zoo_rows(_Zoo.model_validate({"members": raw}), path)
        else:
            rows = _manifest_rows(_ManifestFile.model_validate(raw), path, folder)
    except ValidationError as error:
        raise MalformedFile(path, _first_problem(error), REMEDY) from error
    _require_own_names(rows, path)
    return Manifest(folder, rows)


def located(folder: Path, spec: str) -> str:
    """Return a checkpoint's address: remote ones as they are, paths from the manifest's folder."""
    return spec if spec.lower().startswith(REMOTE) else str(folder / spec)


def _zoo_rows(zoo: _Zoo, path: Path) -> tuple[Row, ...]:
    rows = tuple(
        Row(
            name=member.name,
            checkpoint=member.path,
            reference=member.reference,
            series=member.format if member.label in LADDER_LABELS else None,
            label=member.label,
            expected=_expected(member.expected),
        )
        for member in zoo.members
        # a reference compared with itself says nothing
        if member.path != member.reference
    )
    if not rows:
        raise MalformedFile(path, "has no member besides the reference", "build the lab with more members")
    return rows


def _manifest_rows(content: _ManifestFile, path: Path, folder: Path) -> tuple[Row, ...]:
    rows = []
    for number, row in enumerate(content.rows, 1):
        reference = row.reference or content.defaults.reference
        if reference is None:
            problem = f"row {number} ({row.name}) has no reference"
            raise MalformedFile(path, problem, "give it one, or one under defaults")
        chosen = {}
        for field in fields(Settings):
            own, default = getattr(row, field.name), getattr(content.defaults, field.name)
            chosen[field.name] = default if own is None else own
        rows.append(
            Row(
                name=row.name,
                checkpoint=row.checkpoint,
                reference=reference,
                settings=_settings(chosen, folder),
                series=row.series,
                label=row.label,
                expected=_expected(row.expected) if row.expected else None,
            )
        )
    return tuple(rows)


def _settings(chosen: dict[str, Any], folder: Path) -> Settings:
    suites = chosen.pop("suites")
    policy = chosen.pop("policy")
    for name in ("chat_template", "calibration"):
        chosen[name] = str(folder / chosen[name]) if chosen[name] else None
    return Settings(
        suites=tuple(_shipped_or_here(folder, suite) for suite in suites) if suites else None,
        policy=_shipped_or_here(folder, policy) if policy else None,
        **chosen,
    )


def _shipped_or_here(folder: Path, name: str) -> str:
    is_path = "/" in name or "\\" in name or Path(name).suffix in (".yaml", ".yml")
    return str(folder / name) if is_path else name


def _expected(given: _Expected) -> Expected:
    return Expected(given.status, tuple(given.rules), given.category)


def _require_own_names(rows: Sequence[Row], path: Path) -> None:
    seen: set[str] = set()
    for row in rows:
        # folders of rows: some file systems take a and A for one
        if row.name.casefold() in seen:
            raise MalformedFile(path, f"the name {row.name} comes twice", "give each row its own")
        seen.add(row.name.casefold())


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    # a mistyped key is also a missing one: the typing is what to tell
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    place = ".".join(str(part)[:80] for part in first["loc"]) or "the document"
    if first["type"] != "extra_forbidden":
        return f"{place!a}: {first['msg'][:300]}"
    *owner, key = first["loc"]
    models: dict[str, type[BaseModel]] = {"rows": _Row, "defaults": _Chosen, "members": _ZooRow}
    model = models.get(str(owner[0]), _ManifestFile) if owner else _ManifestFile
    if owner and owner[-1] == "expected":
        model = _Expected
    known = nearest(str(key)[:80], model.model_fields)
    return f"unknown key {place!a}; the nearest known one is {known!r}"

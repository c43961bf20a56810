"""What the public prompt sets' files look like: columns, where prompt, category and id stand, licence.

Nothing of the sets ships with qaudit; a user points `qaudit suite import` at a file of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qaudit.errors import MalformedFile
from qaudit.suites.tables import Row, Table
from qaudit.values import Expectation


@dataclass(frozen=True, slots=True)
class PublicSet:
    """How to read one public set.

    columns: lower-case names that must all be there; `prompt`, `category`, `own_id`: the column of
    each (None: the set has none); `tags`: columns kept as tags; `single_category`: id and title
    for a set without categories; `labelled`: the set holds prompts to refuse and prompts to answer.
    """

    kind: str
    title: str
    source: str
    licence: str
    columns: frozenset[str]
    prompt: str
    category: str | None = None
    own_id: str | None = None
    tags: tuple[str, ...] = ()
    single_category: tuple[str, str] = ("", "")
    labelled: bool = False
    read_prompt: Callable[[Row], str] | None = None

    def prompt_of(self, row: Row) -> str:
        """Return the row's prompt as the set's authors ask it."""
        return self.read_prompt(row) if self.read_prompt else row.fields[self.prompt].strip()


def _with_context(row: Row) -> str:
    # HarmBench's contextual behaviours are asked below their context, behind a rule of dashes
    context, behaviour = row.fields["contextstring"].strip(), row.fields["behavior"].strip()
    return f"{context}\n\n---\n\n{behaviour}" if context and behaviour else behaviour


PUBLIC_SETS: tuple[PublicSet, ...] = (
    PublicSet(
        kind="advbench",
        title="AdvBench harmful behaviours",
        source="https://github.com/llm-attacks/llm-attacks",
        licence="MIT",
        columns=frozenset({"goal", "target"}),
        prompt="goal",
        single_category=("harmful-behaviours", "Harmful behaviours"),
    ),
    PublicSet(
        kind="harmbench",
        title="HarmBench",
        source="https://github.com/centerforaisafety/HarmBench",
        licence="MIT",
        columns=frozenset(
            {"behavior", "functionalcategory", "semanticcategory", "tags", "contextstring", "behaviorid"}
        ),
        prompt="behavior",
        category="semanticcategory",
        own_id="behaviorid",
        tags=("functionalcategory",),
        read_prompt=_with_context,
    ),
    PublicSet(
        kind="jailbreakbench",
        title="JailbreakBench behaviours",
        source="https://github.com/JailbreakBench/jailbreakbench",
        licence="MIT",
        columns=frozenset({"goal", "target", "behavior", "category"}),
        prompt="goal",
        category="category",
        tags=("source",),
    ),
    PublicSet(
        kind="strongreject",
        title="StrongREJECT",
        source="https://github.com/alexandrasouly/strongreject",
        licence="MIT",
        columns=frozenset({"category", "source", "forbidden_prompt"}),
        prompt="forbidden_prompt",
        category="category",
        tags=("source",),
    ),
    PublicSet(
        kind="maliciousinstruct",
        title="MaliciousInstruct",
        source="https://github.com/Princeton-SysML/Jailbreak_LLM",
        licence="not stated by its authors",
        columns=frozenset({"line"}),
        prompt="line",
        single_category=("malicious-instructions", "Malicious instructions"),
    ),
    PublicSet(
        kind="xstest",
        title="XSTest",
        source="https://github.com/paul-rottger/exaggerated-safety",
        licence="CC-BY-4.0",
        columns=frozenset({"prompt", "type", "label"}),
        prompt="prompt",
        category="type",
        own_id="id",
        tags=("focus",),
        labelled=True,
    ),
    PublicSet(
        kind="simplesafetytests",
        title="SimpleSafetyTests",
        source="https://github.com/bertiev/SimpleSafetyTests",
        # the repository's LICENSE file is Attribution-NonCommercial
        licence="CC-BY-NC-4.0",
        columns=frozenset({"harm_area", "category", "prompts_final"}),
        prompt="prompts_final",
        category="harm_area",
        own_id="id",
        tags=("category",),
    ),
)
KINDS: tuple[str, ...] = tuple(sorted(each.kind for each in PUBLIC_SETS))
_LIST = "maliciousinstruct"
_LABELS: dict[str, Expectation] = {"safe": "answer", "unsafe": "refuse"}


def recognise(table: Table, kind: str | None = None) -> PublicSet:
    """Return which set a table is, by its columns, or check that it is the `kind` asked for.

    Raises:
        MalformedFile: no set has such columns, or the named one has others.
    """
    columns = set(table.columns) if table.columns else {"line"}
    if kind is not None:
        named = next((each for each in PUBLIC_SETS if each.kind == kind), None)
        if named is None:
            raise MalformedFile(
                table.path, f"'{kind}' is no known set", f"use --kind with one of: {', '.join(KINDS)}"
            )
        missing = sorted(named.columns - columns)
        if missing:
            expected = "is a .txt list" if named.kind == _LIST else f"lacks the column {', '.join(missing)}"
            problem = (
                f"not {named.title}: that set {expected}"
                if named.kind == _LIST
                else f"{expected} of {named.title}"
            )
            raise MalformedFile(table.path, problem, "give the set's own file")
        return named
    fitting = [each for each in PUBLIC_SETS if each.columns <= columns]
    if not fitting:
        raise MalformedFile(
            table.path,
            f"the columns are those of no known set ({', '.join(table.columns)[:200]})",
            f"known sets: {', '.join(KINDS)}",
        )
    # JailbreakBench has AdvBench's columns and more
    return max(fitting, key=lambda each: len(each.columns))


def expectation_of(path: object, row: Row) -> Expectation:
    """Return what a row of a labelled set expects, from its `label` column.

    Raises:
        MalformedFile: the label is neither safe nor unsafe.
    """
    label = row.fields["label"].strip().casefold()
    if label not in _LABELS:
        raise MalformedFile(path, f"line {row.line}: label is neither safe nor unsafe", "correct the line")
    return _LABELS[label]

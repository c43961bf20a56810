"""Write the list of all rules for people: `python -m qaudit.static.publish_rules docs/rules.md`."""

import sys
from pathlib import Path

from qaudit.errors import QauditError
from qaudit.files import write_atomically
from qaudit.static.catalogue import Family, families
from qaudit.static.rules import Rule

HEAD = """# The rules of `qaudit inspect`

Written by `python -m qaudit.static.publish_rules docs/rules.md` from the rules themselves.
`qaudit inspect --list-rules` prints the same list, with `--format json` for programs.

| severity | means |
|---|---|
| critical | runs code or breaks out when loaded, or has a shape known to corrupt a loader's memory |
| high | attacks, deceives, or cannot be what it claims; gates fail from here on by default |
| medium | suspicious; a person should look |
| low | sloppy or unusual |
| info | worth knowing |

A few rules lower or raise their severity where what they see is plainly less or more.

"""


def rules_page() -> str:
    """Return the page, in Markdown."""
    total = sum(len(family.rules) for family in families())
    contents = ", ".join(f"[{family.name}](#{family.name})" for family in families())
    return f"{HEAD}{total} rules in {len(families())} families: {contents}.\n" + "".join(
        _section(family) for family in families()
    )


def _section(family: Family) -> str:
    return f"\n## {family.name}\n\n{' '.join(family.about)}\n" + "".join(
        _entry(rule) for rule in family.rules
    )


def _entry(rule: Rule) -> str:
    sources = f" Sources: {', '.join(map(_source, rule.sources))}." if rule.sources else ""
    return (
        f"\n### `{rule.id}` ({rule.severity})\n\n"
        f"{_sentence(rule.title)} {_sentence(rule.why)} To do: {_sentence(rule.remedy)}{sources}\n"
    )


def _sentence(text: str) -> str:
    """Return a text that cannot be markup, with a capital at the start and a full stop at the end."""
    plain = _escaped(text)
    plain = plain[:1].upper() + plain[1:]
    return plain if plain.endswith((".", "!", "?")) else f"{plain}."


def _escaped(text: str) -> str:
    plain = " ".join(text.split())
    for character in "\\*_<>[]`":
        plain = plain.replace(character, f"\\{character}")
    return plain


def _source(source: str) -> str:
    """Return a source with its link or CVE id at the start made a link, the rest as plain words."""
    first, space, rest = source.partition(" ")
    if first.startswith("https://"):
        linked = f"<{first}>"
    elif first.startswith("CVE-"):
        linked = f"[{first}](https://nvd.nist.gov/vuln/detail/{first.rstrip(',;')})"
    else:
        return _escaped(source)
    return f"{linked}{space}{_escaped(rest)}"


def main(arguments: list[str]) -> int:
    """Write the page to the path that is named; return an exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m qaudit.static.publish_rules FILE\n")
        return 2
    try:
        write_atomically(Path(arguments[0]), rules_page())
    except QauditError as error:
        sys.stderr.write(f"qaudit: {error}\n")
        return int(error.exit_code)
    sys.stdout.write(f"{arguments[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What every HTML page of ours is rendered with: text is escaped, and hidden characters are spelled out."""

import jinja2
from markupsafe import Markup

from qaudit.report import wording
from qaudit.report.untrusted import one_line, presentable

LONGEST_NAME = 120


def page_environment(*packages: str) -> jinja2.Environment:
    """Return a new environment with the filters that pages have in common.

    Args:
        packages: whose `templates` folders are searched, in order.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        points=wording.points,
        interval=wording.interval,
        number=wording.number,
        spaced=wording.spaced,
        short=lambda text: one_line(text, LONGEST_NAME),
    )
    return environment


def _shown(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        # a figure and its sign stay on one line
        return presentable(value).replace(" %", "\u00a0%")
    return value

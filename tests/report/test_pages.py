import jinja2
import pytest
from markupsafe import Markup

from qaudit.report.pages import LONGEST_NAME, page_environment


def rendered(template: str, **values: object) -> str:
    return page_environment("qaudit.report").from_string(template).render(values)


def test_text_of_strangers_is_escaped_and_what_is_hidden_is_spelled_out() -> None:
    shown = rendered("{{ x }}", x="<script>\u202e\x1b[31m</script>")
    assert "<" not in shown
    assert shown.isprintable()
    assert rendered("{{ x }}", x=Markup("<b>ours</b>")) == "<b>ours</b>"


def test_a_figure_and_its_sign_stay_together() -> None:
    assert rendered("{{ x }}", x="12 %") == "12\u00a0%"
    assert rendered("{{ 0.25|percent }}").endswith("%")


def test_a_long_name_is_cut() -> None:
    shown = rendered("{{ x|short }}", x="n" * 1000)
    assert shown.count("n") < LONGEST_NAME + len("and")
    assert "1,000 characters" in shown


def test_a_name_that_no_template_was_given_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendered("{{ nothing }}")


def test_templates_of_all_packages_are_found() -> None:
    packages = ("qaudit.matrix", "qaudit.report")
    own = [set(page_environment(package).list_templates()) for package in packages]
    assert all(own)
    assert set(page_environment(*packages).list_templates()) == own[0] | own[1]

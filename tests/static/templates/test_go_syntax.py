import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.sandboxed_templates import TemplateProblem, chat_environment, compiled_template, rendered_text
from qaudit.static.templates.go_syntax import parsed_go

MESSAGES = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]},
]
TOOLS = [{"function": {"name": "f"}}]


def shown(source: str) -> str:
    given = {"messages": MESSAGES, "tools": TOOLS, "system": "be kind", "prompt": "hi", "response": ""}
    return rendered_text(compiled_template(parsed_go(source), chat_environment()), given)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a{{ .System }}b", "abe kindb"),
        ("{{ if .System }}yes{{ else }}no{{ end }}", "yes"),
        ("{{ if .Response }}a{{ else if .Prompt }}b{{ else }}c{{ end }}", "b"),
        ("{{ range .Messages }}<{{ .Role }}>{{ else }}none{{ end }}", "<user><assistant>"),
        ("{{ range $i, $m := .Messages }}{{ $i }}{{ $m.Role }}{{ end }}", "0user1assistant"),
        ("{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}", "f"),
        ("{{ range $i, $_ := .Messages }}{{ eq (len (slice $.Messages $i)) 1 }} {{ end }}", "False True "),
        ("{{ with .System }}[{{ . }}]{{ end }}", "[be kind]"),
        ("{{ with .Response }}x{{ else }}y{{ end }}", "y"),
        ("{{ $x := 1 }}{{ range .Messages }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ if and .System (eq .Prompt `hi` `ho`) }}both{{ end }}", "both"),
        ("{{ if or .Response (not .Prompt) }}a{{ else }}b{{ end }}", "b"),
        ('{{ printf "%s-%v" .Prompt 3 }}', "hi-3"),
        ("{{ .Tools | json }}", '[{"function": {"name": "f"}}]'),
        ("{{ (index .Messages 0).Content }}", "hi"),
        ("{{ define `x` }}<{{ . }}>{{ end }}{{ template `x` .Prompt }}", "<hi>"),
        ("{{ block `y` .Prompt }}[{{ . }}]{{ end }}", "[hi]"),
        (
            "{{ range .Messages }}{{ if eq .Role `assistant` }}{{ break }}{{ end }}{{ .Role }}{{ end }}",
            "user",
        ),
        ("{{ if gt (len .Messages) 1 }}many{{ end }}", "many"),
        ("{{ print `a` `b` }}{{ len .Prompt }}", "ab2"),
        ("{{ .System -}}   \n x", "be kindx"),
    ],
)
def test_it_does_what_go_does(source: str, text: str) -> None:
    assert shown(source) == text


@pytest.mark.parametrize(
    "source",
    ["{{ if .X }}", "{{ end }}", "{{ else }}", "{{ nothing .X }}", "{{ .X .Y }}", "{{ ( .X }}", "{{ .X | }}", "{{ define }}x{{ end }}",
     "{{ if }}x{{ end }}", "{{ eq }}", "{{ range }}{{ end }}", "{{ .X ) }}", "{{ template }}", "{{ if a }}" * 2000],
)  # fmt: skip
def test_what_go_refuses_is_refused(source: str) -> None:
    with pytest.raises(TemplateProblem):
        parsed_go(source)


@given(st.lists(st.sampled_from([
    "{{ if .X }}", "{{ else }}", "{{ end }}", "{{ range .Messages }}", "{{ . }}", "{{ $x := .Y }}", "{{ $x }}", "text", "{{ with .X }}",
    "{{ define `a` }}", "{{ template `a` . }}", "{{ else if .Z }}", "{{ break }}", "{{ len .X | printf `%d` }}", "{{ (", "{{",
]), max_size=12))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_sequence_is_parsed_or_refused(parts: list[str]) -> None:
    try:
        template = parsed_go("".join(parts))
    except TemplateProblem:
        return
    assert template.body

"""Templates and shorthands that the tests of this folder share."""

from qaudit.static.model_parts import TemplateText
from qaudit.static.templates.analyst_main import facts_of
from qaudit.static.templates.facts import Note, TemplateFacts
from qaudit.static.templates.template_rules import BOOK, Analysed
from qaudit.values import Finding

LOOP = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
)
PROMPT = "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
CHATML = LOOP + PROMPT
LAST = "messages[-1]['content']"
GO = (
    "{{ if .System }}<|system|>\n{{ .System }}</s>\n{{ end }}{{ if .Prompt }}<|user|>\n{{ .Prompt }}</s>\n{{ end }}"
    "<|assistant|>\n{{ .Response }}</s>\n"
)
GO_MESSAGES = """{{- if or .System .Tools }}<|im_start|>system
{{ .System }}{{ range .Tools }}
{{ json .Function }}{{ end }}<|im_end|>
{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
{{- if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
{{ if .Content }}{{ .Content }}{{ else if .ToolCalls }}<tool_call>
{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
{{ end }}</tool_call>{{ end }}{{ if not $last }}<|im_end|>
{{ end }}
{{- end }}
{{- if and (ne .Role "assistant") $last }}<|im_start|>assistant
{{ end }}
{{- end }}"""


def known(text: str, dialect: str = "jinja") -> TemplateFacts:
    """Return the facts of a template, found out in this process: for templates that do no harm."""
    return facts_of(text, dialect, {"bos_token": "<s>", "eos_token": "</s>"})


def notes(text: str, kind: str, dialect: str = "jinja") -> list[Note]:
    """Return the notes of one kind on a template."""
    return known(text, dialect).of_kind(kind)


def found(text: str, dialect: str = "jinja") -> list[Finding]:
    """Return what the rules on templates find."""
    template = TemplateText("t.jinja", "default", text, "go" if dialect == "go" else "jinja")
    return BOOK.findings(Analysed(template, known(text, dialect)))


def graver(text: str, dialect: str = "jinja") -> dict[str, str]:
    """Return id -> severity of the findings above info."""
    return {finding.id: finding.severity for finding in found(text, dialect) if finding.severity != "info"}

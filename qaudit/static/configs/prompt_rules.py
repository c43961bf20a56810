"""Rules over the prompts and other texts in files of settings: what they order."""

from collections.abc import Iterator

from qaudit.static.configs.documents import ConfigFile
from qaudit.static.hidden_characters import shown
from qaudit.static.reader_orders import order_in
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[ConfigFile] = RuleBook("prompt", "prompts and other texts in files of settings")
# files that only name tokens or hold anybody's data are not read for orders
FILES = frozenset(
    {"config.json", "tokenizer_config.json", "generation_config.json", "params.json", "processor_config.json",
     "preprocessor_config.json", "adapter_config.json", "config_sentence_transformers.json"}
)  # fmt: skip
_PROMPTS = ("prompt", "system", "instruction", "prefix", "preamble")
_TEMPLATES = ("chat_template", "default_chat_template")  # which rules of their own look at
LEAST, MOST = 12, 1 << 18  # characters of a text, and of all


@BOOK.rule(
    "orders", "high",
    title="a setting gives orders",
    why="Runtimes put prompts of these files before conversations, and models that review a download read "
    "the rest: what to ignore, whom to obey or what to hide is no setting.",
    remedy="take the prompt out, or the file of the original model",
    sources=("https://genai.owasp.org/llmrisk/llm01-prompt-injection/",),
)  # fmt: skip
def orders(file: ConfigFile) -> Iterator[Hit]:
    """Texts that command whoever reads them; in prompts also those that command the model."""
    left = MOST
    for path, _, value in file.members if file.name in FILES else ():
        if not isinstance(value, str) or len(value) < LEAST or path.startswith(_TEMPLATES):
            continue
        left -= len(value)
        if left < 0:
            return
        lowered = path.lower()
        found = order_in(value, prompt=any(part in lowered for part in _PROMPTS))
        if found:
            yield Hit(f"{file.path}:{path}", shown(found[1]), found[0])

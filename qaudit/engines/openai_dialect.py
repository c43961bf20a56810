"""What one OpenAI-compatible server takes of a chat completion's parameters, learnt from its refusals.

Servers differ: some cap or refuse log-probabilities, some want another name for the longest reply,
some refuse what they do not know. A dialect is asked, and a refusal gives a simpler one; what makes a
reply greedy (temperature 0) is never given up.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qaudit.engines.openai_replies import TOP, is_too_long
from qaudit.engines.protocol import Ask
from qaudit.engines.templates import messages_of

# Servers penalise repetition by default, or as a model's generation_config.json says; at temperature 0
# that still changes which token is likeliest, so it is switched off under each name that servers have
# for it. A seed matters where ties are broken by lot. The template is told not to open a reasoning
# block, as local engines tell theirs.
PENALTIES: Mapping[str, int] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "repetition_penalty": 1,
    "repeat_penalty": 1,
}
TEMPLATE = "chat_template_kwargs"
OPTIONAL: Mapping[str, Any] = {"seed": 0, **PENALTIES, TEMPLATE: {"enable_thinking": False}}
# not in OpenAI's own API
FOREIGN = frozenset({"repetition_penalty", "repeat_penalty", TEMPLATE})
_LOGPROBS = re.compile(r"log_?prob|top_n_tokens", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"\b(?:extra|unknown|unrecogni[sz]ed|unexpected|unsupported|additional)\b", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?![\w.]*\d)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which parameters are sent.

    Attributes:
        top_logprobs: likeliest tokens asked for at each position; 0 asks for no log-probabilities.
        limit_name: what the longest reply is called.
        dropped: names of `OPTIONAL` that are not sent.
    """

    top_logprobs: int = TOP
    limit_name: str = "max_tokens"
    dropped: frozenset[str] = frozenset()

    def request(self, model_id: str, ask: Ask) -> dict[str, Any]:
        """Return the body of the request that asks one prompt greedily."""
        turns: Sequence[str] = ask.turns or (ask.question,)
        body: dict[str, Any] = {
            "model": model_id,
            "messages": messages_of(turns),
            "temperature": 0,
            "top_p": 1,
            self.limit_name: ask.max_tokens,
            "stream": False,
        }
        if self.top_logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = self.top_logprobs
        return body | {name: value for name, value in OPTIONAL.items() if name not in self.dropped}

    def simpler(self, said: str) -> "Dialect | None":
        """Return the dialect that a server's refusal asks for; None where it is about something else.

        Args:
            said: the server's words.
        """
        if self.top_logprobs and _LOGPROBS.search(said):
            return replace(self, top_logprobs=self._cap(said))
        if is_too_long(said):
            return None
        if self.limit_name == "max_tokens" and "max_completion_tokens" in said:
            return replace(self, limit_name="max_completion_tokens")
        said = said.replace("enable_thinking", TEMPLATE)
        sent = OPTIONAL.keys() - self.dropped
        named = {name for name in sent if re.search(rf"\b{name}\b", said)}
        if not named and _UNKNOWN.search(said):
            named = sent & FOREIGN
        return replace(self, dropped=self.dropped | named) if named else None

    def _cap(self, said: str) -> int:
        # "20 is greater than the 5 allowed": the largest number below what was asked
        fewer = [int(number) for number in _NUMBER.findall(said) if 0 < int(number) < self.top_logprobs]
        return max(fewer, default=0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server did not take and a reader should know, one line each."""
        found = []
        if not self.top_logprobs:
            found.append("it takes no request for log-probabilities: first-token measures are absent")
        elif self.top_logprobs < TOP:
            found.append(f"it gives the {self.top_logprobs} likeliest tokens of a position, not {TOP}")
        if "seed" in self.dropped:
            found.append("it takes no seed")
        penalties = sorted(PENALTIES.keys() & self.dropped)
        if penalties:
            found.append(f"it takes no {', '.join(penalties)}: a penalty of its own may change replies")
        return tuple(found)

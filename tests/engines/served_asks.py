"""Engines on a server that misbehaves (`odd_server`), and plain questions for them."""

from odd_server import OddServer

from qaudit.checkpoints.served import ServedModel
from qaudit.engines.openai_api import ServedEngine
from qaudit.engines.protocol import Answer, Ask, ServedOptions


def engine_on(odd: OddServer, **options: object) -> ServedEngine:
    chosen = ServedOptions(**{"backoff_s": 0.01, "timeout_s": 5.0, "retries": 3, **options})  # type: ignore[arg-type]
    return ServedEngine(ServedModel(odd.url), chosen)


def asks(*questions: str, max_tokens: int = 16) -> list[Ask]:
    return [Ask(f"id of {q}", "", q, max_tokens, (q,)) for q in questions]


def finishes(answers: list[Answer]) -> list[str]:
    return [answer.reply.finish for answer in answers]

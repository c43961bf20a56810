"""One arm of an audit: everything that one checkpoint is asked, batch by batch into the journal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from qaudit.auditing.events import Arm, Asked, Event, Stage
from qaudit.engines.protocol import Answer, Ask, ChoiceAsk, Conversation, Engine
from qaudit.errors import EngineFailure, InputError
from qaudit.journal import Journal, Record
from qaudit.probes import first_token, quality, refusal
from qaudit.values import Suite

# what an engine of this arm knew after the last batch that was stored
MEMORY, ENGINE = "memory", "engine"


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """What to ask both arms, and how to batch it."""

    suites: tuple[Suite, ...]
    template: str
    max_tokens: int
    batch: int


def render_prompts(engine: Engine, journal: Journal, plan: ArmPlan) -> list[str]:
    """Render all prompts once, with the reference's engine and template.

    Returns:
        a note for each prompt that did not render; the same ones when the audit is resumed.

    Raises:
        InputError: the template renders none of the prompts.
    """
    wanted = refusal.conversations(plan.suites)
    known = journal.known("reference", "prompt")
    missing = [c for c in wanted if c.id not in known]
    if missing:
        rendered = engine.render(plan.template, missing)
        if len(missing) == len(wanted) and all(r.error for r in rendered):
            raise InputError(
                f"the chat template renders no prompt: {rendered[0].error}; give --chat-template FILE"
            )
        journal.add(
            "reference", "prompt", [Record(r.id, {"text": r.text, "error": r.error}) for r in rendered]
        )
    fields = journal.fields("reference", "prompt")
    return [f"{c.id} was not asked: {fields[c.id]['error']}" for c in wanted if fields[c.id]["error"]]


def rendered_prompts(journal: Journal) -> dict[str, str]:
    """Return the rendered text of every prompt that rendered, by key."""
    return {
        key: str(fields["text"])
        for key, fields in journal.fields("reference", "prompt").items()
        if not fields["error"]
    }


def run_arm(engine: Engine, arm: Arm, journal: Journal, plan: ArmPlan) -> Iterator[Event]:
    """Ask one checkpoint everything that its engine can do and its journal does not hold yet.

    Raises:
        InputError: the journal does not hold what an engine must know to go on.
        EngineFailure: the engine cannot go on.
    """
    if memory := journal.fields(arm, MEMORY).get(ENGINE):
        engine.recall(memory)
    prompts = rendered_prompts(journal)
    asks = refusal.reply_asks(plan.suites, prompts, plan.max_tokens)
    refused_keys = {key for key, _, _ in refusal.items_of(plan.suites, "refuse")}
    yield from _replies(engine, arm, journal, asks, plan.batch, "replies", refused_keys)
    if "prefill" in engine.abilities:
        closing = first_token.after_reasoning([a for a in asks if a.id in refused_keys])
        yield from _replies(engine, arm, journal, closing, plan.batch, "after_reasoning", refused_keys)
    if "choose" in engine.abilities:
        yield from _choices(engine, arm, journal, quality.choice_asks(plan.suites, prompts), plan.batch)
    if "read" in engine.abilities:
        yield from _passages(engine, arm, journal, plan.suites)


def _batches(total: int, size: int) -> Iterator[range]:
    for start in range(0, total, size):
        yield range(start, min(start + size, total))


def _replies(
    engine: Engine,
    arm: Arm,
    journal: Journal,
    asks: Sequence[Ask],
    size: int,
    stage: Stage,
    with_floats: set[str],
) -> Iterator[Event]:
    # batches are cut by position in the full list, so that a resumed run has the same ones
    known = journal.known(arm, stage)
    for batch in _batches(len(asks), size):
        wanted = [asks[i] for i in batch]
        if any(ask.id not in known for ask in wanted):
            answers = engine.generate(wanted)
            records = [_reply_record(a, keep=a.reply.id in with_floats) for a in answers]
            # with the batch, so that nothing is counted twice that is asked again
            known_now = [Record(ENGINE, engine.memory)] if engine.memory else []
            journal.add_together(arm, {stage: records, MEMORY: known_now})
        yield Asked(arm, stage, batch.stop, len(asks))


def _reply_record(answer: Answer, *, keep: bool) -> Record:
    fields: Mapping[str, object] = asdict(answer.reply)
    return Record(answer.reply.id, fields, answer.first_logprobs if keep else None)


def _choices(
    engine: Engine, arm: Arm, journal: Journal, asks: Sequence[ChoiceAsk], size: int
) -> Iterator[Event]:
    known = journal.known(arm, "choices")
    for batch in _batches(len(asks), size):
        wanted = [asks[i] for i in batch]
        if any(ask.id not in known for ask in wanted):
            scores = engine.choose(wanted)
            journal.add(  # a score that is empty says that the item could not be scored
                arm,
                "choices",
                [Record(s.id, {"logprobs": list(s.logprobs), "tokens": list(s.tokens)}) for s in scores],
            )
        yield Asked(arm, "choices", batch.stop, len(asks))


def _passages(engine: Engine, arm: Arm, journal: Journal, suites: Sequence[Suite]) -> Iterator[Event]:
    asks = quality.passage_asks(suites, engine.vocabulary)
    known = journal.known(arm, "passages")
    missing = [ask for ask in asks if ask.id not in known]
    for done, score in enumerate(engine.read(missing), start=len(asks) - len(missing) + 1):
        fields = {"token_logprobs": [float(x) for x in score.token_logprobs]}
        floats = score.logprobs if len(score.logprobs) else None
        journal.add(arm, "passages", [Record(score.id, fields, floats)])
        yield Asked(arm, "passages", done, len(asks))


def require_answers(journal: Journal, arm: Arm) -> None:
    """Refuse to go on when an engine answered nothing at all.

    Raises:
        EngineFailure: every prompt crashed or did not fit.
    """
    replies = journal.fields(arm, "replies")
    if replies and all(fields["finish"] in ("crashed", "too_long") for fields in replies.values()):
        raise EngineFailure(
            f"the {arm} answered none of its {len(replies)} prompts; the engine crashes on each of them"
        )


__all__ = ["ArmPlan", "Conversation", "render_prompts", "rendered_prompts", "require_answers", "run_arm"]

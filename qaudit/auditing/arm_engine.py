"""Which engine answers for each arm: one library for both, whatever formats they come in."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from qaudit.auditing.defaults import default_limits
from qaudit.auditing.events import Arm
from qaudit.auditing.options import AuditOptions
from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.served import ServedModel
from qaudit.engines.protocol import Engine, EngineName, EngineOptions
from qaudit.engines.worker import WorkerEngine, require_engine
from qaudit.errors import Incomparable

SERVED = "endpoint"
# an extra: only who audits a server needs it
CLIENT = "qaudit.engines.openai_transport"


@dataclass(frozen=True, slots=True)
class Seat:
    """Where one arm's checkpoint runs.

    Attributes:
        checkpoint: whose answers are wanted.
        engine: the library that runs it in a worker; None for a model that is served elsewhere.
        path: what the worker opens.
        weights: a GGUF whose decoded weights take the place of those at `path`.
    """

    checkpoint: Checkpoint
    engine: EngineName | None
    path: Path
    weights: Path | None = None


@dataclass(frozen=True, slots=True)
class Seats:
    """Both arms, and what a reader of the report must know about how they were run."""

    reference: Seat
    candidate: Seat
    notes: tuple[str, ...] = ()

    def of(self, arm: Arm) -> Seat:
        """Return the seat of one arm."""
        return self.reference if arm == "reference" else self.candidate


def seat_both(reference: Checkpoint, candidate: Checkpoint) -> Seats:
    """Choose the engines of a pair.

    Raises:
        Incomparable: a served reference with a candidate of files.
        MissingExtra: a library that is needed is not installed.
    """
    shown = reference.spec if isinstance(reference, ServedModel) else str(reference.path)
    require_engines(reference.format, candidate.format, shown)
    return _seats(reference, candidate)


def require_engines(reference: str, candidate: str, shown: str) -> None:
    """Refuse a pair that cannot be run here, by the formats alone: nothing need have been opened.

    Args:
        reference: format of the reference.
        candidate: format of the candidate.
        shown: what to call the reference.

    Raises:
        Incomparable: a served reference with a candidate of files.
        MissingExtra: a library that is needed is not installed.
    """
    served = reference == SERVED, candidate == SERVED
    if served == (True, False):
        raise Incomparable(
            f"{shown}: a served reference answers with a template of its own; serve the candidate "
            "too, or give the reference's files"
        )
    if any(served):
        import_module(CLIENT)  # raises it
    files = {format_ for format_ in (reference, candidate) if format_ != SERVED}
    if files:
        require_engine("llama.cpp" if files == {"gguf"} else "transformers")


def _seats(reference: Checkpoint, candidate: Checkpoint) -> Seats:
    if isinstance(candidate, ServedModel):
        return _served(reference, candidate)
    formats = reference.format, candidate.format
    if formats == ("gguf", "gguf"):
        return _alike("llama.cpp", reference, candidate)
    if formats == ("safetensors", "safetensors"):
        return _alike("transformers", reference, candidate)
    folder, gguf = (reference, candidate) if reference.format == "safetensors" else (candidate, reference)
    runs_itself = Seat(folder, "transformers", folder.path)
    decoded = Seat(gguf, "transformers", folder.path, gguf.path)
    note = (
        f"one arm is GGUF and the other is not: the weights of {gguf.path.name} were decoded and run by "
        f"transformers with the tokenizer of {folder.path.name}, so that one engine answers for both"
    )
    if folder is reference:
        return Seats(runs_itself, decoded, (note,))
    return Seats(decoded, runs_itself, (note,))


def _alike(engine: EngineName, reference: Checkpoint, candidate: Checkpoint) -> Seats:
    return Seats(Seat(reference, engine, reference.path), Seat(candidate, engine, candidate.path))


def _served(reference: Checkpoint, candidate: ServedModel) -> Seats:
    there = "the candidate is served: its file was not seen, and only what its server tells was measured"
    if isinstance(reference, ServedModel):
        return Seats(Seat(reference, None, reference.path), Seat(candidate, None, candidate.path), (there,))
    engine: EngineName = "llama.cpp" if reference.format == "gguf" else "transformers"
    note = (
        f"the reference ran on {engine} here, the candidate on its server with a template of its own: a "
        "difference may come from the engine or the template as well as from the weights"
    )
    seat = Seat(reference, engine, reference.path)
    return Seats(seat, Seat(candidate, None, candidate.path), (there, note))


def open_seat(
    seat: Seat, special_tokens: dict[str, str], options: AuditOptions, engine: EngineOptions
) -> Engine:
    """Start what answers for one arm.

    Args:
        seat: from `seat_both`.
        special_tokens: bos_token and the like of the reference, for the chat template.
        options: limits and the settings of a served model.
        engine: settled for both arms (`qaudit.engines.devices.settle`).

    Raises:
        EngineFailure: it does not load, or its server does not answer.
    """
    if seat.engine is None:
        return _open_served(seat.checkpoint, options)
    limits = options.limits or default_limits(seat.checkpoint, options, seat.engine, engine)
    return WorkerEngine(seat.path, engine, limits, special_tokens, seat.engine, seat.weights)


def _open_served(checkpoint: Checkpoint, options: AuditOptions) -> Engine:
    # what it imports is an extra
    from qaudit.engines.openai_api import ServedEngine

    if not isinstance(checkpoint, ServedModel):
        raise Incomparable(f"{checkpoint.path}: is not served; please report this as a bug")
    return ServedEngine(checkpoint, options.served)

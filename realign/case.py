"""What is fixed before anything is computed: checkpoints, target, calibration, method, whose weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.hf_repo import CONFIG
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines.protocol import Conversation
from qaudit.errors import InputError
from qaudit.suites.loading import load_suite
from qaudit.values import Item
from realign.calibration_sets import CalibrationSets, default_calibration, load_calibration
from realign.carried_over import of_folder, of_gguf
from realign.delivery import Delivery
from realign.diagnosis import diagnose
from realign.float_model import Given, as_tokens, require_one_model
from realign.folder_delivery import FolderDelivery
from realign.gguf_config import config_of
from realign.gguf_delivery import GgufDelivery
from realign.grids.target import Target, parse_target
from realign.job import CalibrationTokens
from realign.methods import Choice, Source
from realign.options import RealignOptions
from realign.plan import Plan, make_plan

# of these methods none has a way round a type that has nothing to learn
LEARNS_TYPES = ("qresafe", "protect")


@dataclass(frozen=True, slots=True)
class Case:
    """A realignment that can begin; nothing in it changes any more."""

    given: Given
    delivery: Delivery
    choice: Choice
    sets: CalibrationSets
    prompts: CalibrationTokens
    ends: frozenset[int]
    options: RealignOptions

    @property
    def source(self) -> Checkpoint:
        """Whose weights the result is made of."""
        given = self.given
        by_name = {"reference": given.reference, "checkpoint": given.checkpoint, "parent": given.parent}
        found = by_name[self.choice.source]
        if found is None:
            raise InputError("no parent was given; give one with --parent")
        return found

    def plan(self) -> Plan:
        """Estimate what it takes."""
        return make_plan(
            self.options.to,
            self.choice.method,
            self.delivery.planned(),
            self.prompts,
            sum(file.size for file in self.given.checkpoint.info.files),
            searches_scales=self.delivery.searches_scales,
            baseline=self.options.baseline,
        )


def prepare(checkpoint: str | Path, reference: str | Path, options: RealignOptions) -> Case:
    """Open everything, check that it is one model, and decide what is to be done.

    Raises:
        InputError: files, target, calibration sets or method are unusable or do not fit.
        EnvironmentProblem: an extra is missing.
    """
    # everything that can be refused cheaply is refused before a model is loaded
    target = parse_target(options.to)
    given = Given(
        open_checkpoint(checkpoint),
        open_checkpoint(reference),
        open_checkpoint(options.parent) if options.parent else None,
    )
    _require_free(options, given)
    require_one_model(given)
    delivery = _delivery(target, given)
    evaluation = [load_suite(name) for name in options.evaluation]
    sets = load_calibration(options.calibration or default_calibration(given.reference), evaluation)
    prompts, ends = as_tokens(
        given,
        _conversations(sets.malicious, options.limit),
        _conversations(sets.benign, options.limit),
        given.gguf if target.format == "gguf" else given.folder,
    )
    choice = _chosen(given, options)
    if choice.method in LEARNS_TYPES and delivery.untrained() is not None:
        raise InputError(
            f"--to {target.text}: {choice.method} cannot learn types whose points are a table; choose "
            "another, such as gguf:Q4_K_M, or --method qrealign, restore or plain"
        )
    return Case(given, delivery, choice, sets, prompts, ends, options)


def _delivery(target: Target, given: Given) -> Delivery:
    folder, gguf = given.folder, given.gguf
    # of one without a template no prompt is made: it is refused there
    template = given.reference.chat_template or ""
    if target.format == "gguf":
        if gguf is None:
            raise InputError(
                f"--to {target.text}: a GGUF takes its metadata from another of the same model; "
                "give the checkpoint or the reference as GGUF"
            )
        config = folder.config if folder else config_of(gguf)
        own = gguf is given.reference
        return GgufDelivery(target, gguf, config, carried=None if own else of_gguf(gguf, template))
    if folder is None:
        raise InputError(
            f"--to {target.text}: a folder takes its configuration and tokenizer from another of the same "
            "model; give the checkpoint or the reference as a folder"
        )
    own = folder is given.reference
    return FolderDelivery(target, folder, None if own else of_folder(folder, template))


def _chosen(given: Given, options: RealignOptions) -> Choice:
    """Choose the method, where nobody has, and in any case whose weights the result is made of."""
    found = diagnose(given.checkpoint, given.reference, options.report, options.seed)
    source: Source = "parent" if given.parent else found.source
    if options.method == "auto":
        return Choice(found.method, found.why, source)
    return Choice(options.method, f"asked for; {found.weights.sentence}", source)


def _conversations(items: Sequence[Item], limit: int | None) -> list[Conversation]:
    count = len(items)
    # spread over the whole set, whose categories lie one after another
    chosen = items if limit is None or limit >= count else [items[i * count // limit] for i in range(limit)]
    return [Conversation(item.id, item.turns) for item in chosen]


def _require_free(options: RealignOptions, given: Given) -> None:
    """Refuse to write over what is read."""
    place, work = options.out.resolve(), options.work.resolve()
    for each in (given.checkpoint, given.reference, given.parent):
        if each is None:
            continue
        path = each.path.resolve()
        # a GGUF of several files lies in all of them
        files = {path, *(path.parent / file.path for file in each.info.files if path.is_file())}
        if place in files:
            raise InputError(f"{options.out}: is one of the inputs; choose another --out")
        if path in place.parents or {place, work} & set(path.parents):
            raise InputError(f"{options.out}: {each.path} would be written over; choose another --out")
    out, is_file = options.out, options.to.startswith("gguf")
    if not out.exists():
        return
    if is_file and out.is_dir():
        raise InputError(f"{out}: is a folder, and {options.to} is a file; choose another --out")
    if is_file and not out.is_file():
        raise InputError(f"{out}: is no regular file; choose another --out")
    if not is_file and not out.is_dir():
        raise InputError(f"{out}: is a file, and {options.to} is a folder; choose another --out")
    if not is_file and any(out.iterdir()) and not (out / CONFIG).is_file():
        # it would be replaced, with all that somebody keeps there
        raise InputError(f"{out}: holds other files than a checkpoint; choose another --out")

"""Rows on a Ray cluster: one task a row, started again by Ray when its worker dies.

Every node needs this qaudit installed, and the manifest's files and `--out` under the same paths (a
shared file system). Runs on a node of the cluster, as every Ray driver does.
"""

import os
import sys
from typing import Any

from qaudit.errors import EnvironmentProblem, MissingExtra
from qaudit.matrix.local_pool import DIED, ENDED, MAX_RETRIES
from qaudit.matrix.rows import run_row
from qaudit.matrix.tasks import Outcome, RowTask, unfinished


class RayPool:
    """Runs rows as tasks of a cluster.

    Args:
        address: of the cluster: `auto`, or `host:port` of its head.

    Raises:
        MissingExtra: Ray is not installed.
        EnvironmentProblem: there is no cluster at that address.
    """

    def __init__(self, address: str) -> None:
        # a driver that counts no GPU must not hide them from its tasks
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
            import ray.exceptions
        except ImportError as error:
            raise MissingExtra("ray", "matrix") from error
        self._ray = ray
        self._pending: dict[Any, str] = {}
        if address == "local":
            # Ray would start a cluster of this machine alone, and take it down again
            raise EnvironmentProblem(
                "--ray local: names no cluster; leave --ray out to use this machine's processors"
            )
        try:
            ray.init(address=address, configure_logging=False, log_to_driver=False)
        except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            problem = " ".join(str(error).split())[:300]
            raise EnvironmentProblem(
                f"--ray {address}: no cluster answers there ({problem}); start one with `ray start --head`, "
                "and go on when `ray status` shows its nodes"
            ) from error
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self._gpus = bool(resources.get("GPU"))
        self._task = ray.remote(max_retries=MAX_RETRIES, retry_exceptions=False)(audit_row)

    def threads(self) -> int:
        """Return the processors of the smallest node, so that a row runs alike on every node."""
        nodes: list[dict[str, Any]] = self._ray.nodes()  # type: ignore[no-untyped-call]
        counts = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
        return min((count for count in counts if count), default=1)

    def room(self) -> int:
        """Return how many rows more it takes: all, for the cluster has a queue of its own."""
        return sys.maxsize

    def submit(self, task: RowTask) -> None:
        """Hand a row to the cluster; it asks for its threads, and for a GPU when layers go there."""
        gpus = 1 if self._gpus and task.wants_gpu(present=True) else 0
        placed = self._task.options(
            name=f"qaudit {task.name}", num_cpus=task.options.engine.threads, num_gpus=gpus
        )
        self._pending[placed.remote(task)] = task.name

    def ended(self, timeout_s: float) -> list[Outcome]:
        """Wait at most so long, return the rows that have ended."""
        if not self._pending:
            return []
        done, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=timeout_s)
        return [self._outcome(reference) for reference in done]

    def _outcome(self, reference: Any) -> Outcome:  # noqa: ANN401
        name = self._pending.pop(reference)
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            return unfinished(name, ENDED.format(f"{type(cause).__name__}: {cause}"), 1)
        except self._ray.exceptions.RayError:
            return unfinished(name, DIED.format(MAX_RETRIES + 1), MAX_RETRIES + 1)
        return outcome if isinstance(outcome, Outcome) else unfinished(name, ENDED.format("no outcome"), 1)

    def close(self) -> None:
        """Take back what has not ended, and leave the cluster as it was."""
        for reference in self._pending:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


def audit_row(task: RowTask) -> Outcome:
    """Run a row in a worker of the cluster."""
    return run_row(task)

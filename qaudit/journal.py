"""What was asked and answered so far, durable in SQLite: an audit that is killed goes on where it stopped.

A batch of records is one transaction: either all of it is counted or none. Batches are what the
engine answers from a clean state, so a resumed audit computes the same figures as one that was
never stopped.
"""

import contextlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qaudit.errors import InputError, OtherAudit, OutputProblem

LAYOUT = "qaudit/journal/v1"
# how the name of a file begins that is being lent
UNFINISHED = ".lent-"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    arm TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    fields TEXT NOT NULL, floats BLOB, columns INTEGER,
    PRIMARY KEY (arm, kind, id)
) WITHOUT ROWID;
"""
_SELECT = "SELECT arm, kind, id, fields, floats, columns FROM records WHERE arm=?"
_INSERT = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)"
# a row may hold a distribution over a large vocabulary
ROWS_AT_ONCE = 16

_NOT_OURS = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that one arm said.

    Shapes:
        floats: float32 [n] or [n, V], or None.
    """

    id: str
    fields: Mapping[str, Any]
    floats: NDArray[np.float32] | None = None


class Journal:
    """An open journal of one audit.

    Args:
        path: the SQLite file.
        key: digest of everything that the answers depend on.
        resume: go on with what is there; otherwise start empty.

    Raises:
        OtherAudit: `resume` with a journal of another audit.
        InputError: `resume` with a file that is no journal.
        OutputProblem: the file cannot be written.
    """

    def __init__(self, path: Path, key: str, *, resume: bool) -> None:
        self._path = path
        try:
            if not resume:
                for suffix in ("", "-wal", "-shm", "-journal"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise OutputProblem(
                f"{path}: the journal cannot be opened ({error}); choose another --out"
            ) from error
        try:
            self._prepare(key)
        except BaseException:
            self._database.close()
            raise

    def _prepare(self, key: str) -> None:
        with self._translated():
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_TABLES)
            known = dict(self._database.execute("SELECT key, value FROM about"))
            begun = known or self._database.execute("SELECT 1 FROM records LIMIT 1").fetchone()
        if begun and known.get("layout") != LAYOUT:
            raise OtherAudit(f"{self._path}: a journal of another qaudit; run without --resume")
        if begun and known.get("key") != key:
            raise OtherAudit(
                f"{self._path}: the journal is of another audit (files, suites or settings differ); "
                "run without --resume"
            )
        if not begun:
            with self._translated():
                self._database.execute("INSERT INTO about VALUES ('layout', ?), ('key', ?)", (LAYOUT, key))

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            # the low byte is the primary code; "error" is what other tables than ours end in
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OURS:
                raise InputError(f"{self._path}: is not a qaudit journal; run without --resume") from error
            raise OutputProblem(
                f"{self._path}: the journal cannot be written ({error}); free space or choose another --out"
            ) from error

    def add(self, arm: str, kind: str, records: Iterable[Record]) -> None:
        """Store a batch; on return it is on disk."""
        self.add_together(arm, {kind: records})

    def add_together(self, arm: str, batch: Mapping[str, Iterable[Record]]) -> None:
        """Store a batch of several kinds, all of it or nothing; on return it is on disk."""
        with self._translated():
            self._database.execute("BEGIN")
            try:
                for kind, records in batch.items():
                    for record in records:
                        self._database.execute(_INSERT, _row(arm, kind, record))
                self._database.execute("COMMIT")
            except BaseException:
                # a full disk may have rolled back already
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def known(self, arm: str, kind: str) -> set[str]:
        """Return the ids stored for one arm and kind."""
        with self._translated():
            rows = self._database.execute("SELECT id FROM records WHERE arm=? AND kind=?", (arm, kind))
            return {row[0] for row in rows}

    def fields(self, arm: str, kind: str) -> dict[str, dict[str, Any]]:
        """Return the fields of every record of one arm and kind, by id."""
        with self._translated():
            rows = self._database.execute(
                "SELECT id, fields FROM records WHERE arm=? AND kind=?", (arm, kind)
            )
            found = rows.fetchall()
        try:
            return {row[0]: json.loads(row[1]) for row in found}
        except (TypeError, ValueError) as error:
            raise self._damaged() from error

    def floats(self, arm: str, kind: str, record: str) -> NDArray[np.float32] | None:
        """Return one record's array, or None when it has none."""
        with self._translated():
            row = self._database.execute(
                "SELECT floats, columns FROM records WHERE arm=? AND kind=? AND id=?", (arm, kind, record)
            ).fetchone()
        if row is None or row[0] is None:
            return None
        try:
            array = np.frombuffer(row[0], "<f4")
            return array if row[1] is None else array.reshape(-1, row[1])
        except (TypeError, ValueError) as error:
            raise self._damaged() from error

    def drop_floats(self) -> None:
        """Give the arrays' space back, once everything that is derived from them is stored."""
        with self._translated():
            self._database.execute("UPDATE records SET floats=NULL, columns=NULL WHERE floats IS NOT NULL")
            self._database.execute("VACUUM")

    def lend(self, path: Path, key: str, arm: str) -> None:
        """Write one arm's records to a journal of its own, a single file that appears whole.

        Args:
            path: the file; one that is there is replaced.
            key: digest of everything that this arm's answers depend on.
            arm: whose records.

        Raises:
            OutputProblem: it cannot be written; nothing is left behind.
        """
        temporary: Path | None = None
        try:
            handle, name = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
            os.close(handle)
            temporary = Path(name)
            with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as lent:
                # one file without companions: on shared storage others read it while nobody writes
                lent.execute("PRAGMA journal_mode=DELETE")
                lent.executescript(_TABLES)
                lent.execute("BEGIN")
                lent.execute("INSERT INTO about VALUES ('layout', ?), ('key', ?)", (LAYOUT, key))
                lent.executemany(_INSERT, self._database.execute(_SELECT, (arm,)))
                lent.execute("COMMIT")
            temporary.replace(path)
            temporary = None
        except (sqlite3.Error, OSError, ValueError) as error:
            raise OutputProblem(f"{path}: the answers cannot be kept ({error}); free space") from error
        finally:
            if temporary:
                temporary.unlink(missing_ok=True)

    def adopt(self, path: Path, key: str, arm: str) -> bool:
        """Take over what `lend` wrote, in place of whatever this journal has of that arm.

        Returns:
            False, with nothing changed, when there is no such file, it is another key's, or it is damaged.

        Raises:
            OutputProblem: this journal cannot be written.
        """
        try:
            # what was lent never changes, so no lock is taken where it lies
            lent = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        except (sqlite3.Error, ValueError):
            return False
        with contextlib.closing(lent), self._translated():
            self._database.execute("BEGIN")
            try:
                if not _holds(lent, key):
                    return False
                self._database.execute("DELETE FROM records WHERE arm=?", (arm,))
                return self._copied(lent, arm)
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def _copied(self, lent: sqlite3.Connection, arm: str) -> bool:
        rows = lent.execute(_SELECT, (arm,))
        while True:
            try:
                some = rows.fetchmany(ROWS_AT_ONCE)
            except sqlite3.Error:
                return False
            if not some:
                self._database.execute("COMMIT")
                return True
            self._database.executemany(_INSERT, some)

    def forget(self, arm: str) -> None:
        """Drop everything that one arm said."""
        with self._translated():
            self._database.execute("DELETE FROM records WHERE arm=?", (arm,))

    def _damaged(self) -> InputError:
        return InputError(f"{self._path}: the journal is damaged; run without --resume")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _holds(lent: sqlite3.Connection, key: str) -> bool:
    try:
        about = dict(lent.execute("SELECT key, value FROM about"))
    except sqlite3.Error:
        return False
    return about == {"layout": LAYOUT, "key": key}


def _row(arm: str, kind: str, record: Record) -> tuple[str, str, str, str, bytes | None, int | None]:
    fields = json.dumps(record.fields, ensure_ascii=True, sort_keys=True)
    if record.floats is None:
        return arm, kind, record.id, fields, None, None
    if record.floats.ndim not in (1, 2) or record.floats.shape[-1] == 0:
        raise ValueError(f"record {record.id!r} has floats of shape {record.floats.shape}, not [n] or [n, V]")
    columns = record.floats.shape[1] if record.floats.ndim == 2 else None
    return arm, kind, record.id, fields, np.ascontiguousarray(record.floats, "<f4").tobytes(), columns

"""The twin's durable file: what Stripe would still know after a power cut of this process."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.stripe_twin import tally
from sandbox.stripe_twin.errors import JsonObject

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, created INTEGER NOT NULL,
    body TEXT NOT NULL, private TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, created, seq);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (kind, json_extract(body, '$.customer'));
CREATE INDEX IF NOT EXISTS objects_payment_intent ON objects (kind, json_extract(body, '$.payment_intent'));
CREATE INDEX IF NOT EXISTS objects_open_sessions ON objects (json_extract(body, '$.expires_at'))
    WHERE kind = 'checkout.session' AND json_extract(body, '$.status') = 'open';
CREATE INDEX IF NOT EXISTS objects_due_refunds ON objects (json_extract(private, '$.turns_at'))
    WHERE kind = 'refund';
CREATE INDEX IF NOT EXISTS objects_due_intents ON objects (json_extract(private, '$.turns_at'))
    WHERE kind = 'payment_intent';
CREATE INDEX IF NOT EXISTS objects_disputed ON objects (json_extract(private, '$.disputed_at'))
    WHERE kind = 'charge';
CREATE INDEX IF NOT EXISTS objects_due_disputes ON objects (json_extract(private, '$.due_at'))
    WHERE kind = 'dispute';
CREATE INDEX IF NOT EXISTS objects_due_invoices ON objects (json_extract(body, '$.due_date'))
    WHERE kind = 'invoice' AND json_extract(body, '$.status') = 'open';
CREATE INDEX IF NOT EXISTS objects_invoice ON objects (kind, json_extract(body, '$.invoice'));
CREATE TABLE IF NOT EXISTS saved_answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
    request_id TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, endpoint_id TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, last_result TEXT, twist TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due_at);
CREATE TABLE IF NOT EXISTS violations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, direction TEXT NOT NULL, subject TEXT NOT NULL,
    problems TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    params TEXT NOT NULL, idempotency_key TEXT, request_id TEXT NOT NULL, outcome TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass
class Record:
    """One Stripe object: *body* is what the API shows, *private* what only the twin knows."""

    body: JsonObject
    private: JsonObject = field(default_factory=dict)

    @property
    def id(self) -> str:
        object_id: str = self.body["id"]
        return object_id


@dataclass(frozen=True)
class SavedAnswer:
    fingerprint: str
    status: int
    body: bytes
    request_id: str


@dataclass(frozen=True)
class Delivery:
    """One webhook still owed to one endpoint; *twist* holds the faults that tests asked for."""

    id: int
    event_id: str
    endpoint_id: str
    attempts: int
    twist: JsonObject


class Store:
    """SQLite in one file. Every method may be called from any thread; writes belong inside ``transaction()``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        # A write-ahead log survives the death of the process without an fsync per payment; only the whole machine's
        # power cut could lose the last of them, and that is not what a test server is for.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; an inner one is a part of the outer one."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    # Objects

    def insert(self, record: Record) -> None:
        self._run(
            "INSERT INTO objects (id, kind, created, body, private) VALUES (?, ?, ?, ?, ?)",
            record.id,
            record.body["object"],
            record.body.get("created", 0),
            json.dumps(record.body),
            json.dumps(record.private),
        )

    def update(self, record: Record) -> None:
        self._run(
            "UPDATE objects SET body = ?, private = ? WHERE id = ?",
            json.dumps(record.body),
            json.dumps(record.private),
            record.id,
        )

    def find(self, object_id: str, kind: str | None = None) -> Record | None:
        rows = self._rows("SELECT body, private, kind FROM objects WHERE id = ?", object_id)
        return _record(rows[0]) if rows and kind in {None, rows[0][2]} else None

    def list_objects(
        self,
        kind: str,
        *,
        equal: dict[str, Any] | None = None,
        one_of: tuple[str, list[str]] | None = None,
        created: dict[str, int] | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Newest first. *equal* maps JSON paths to values, *one_of* a path to several; *created* maps the words gt,
        gte, lt and lte to seconds.

        *after* and *before* are ids: what follows, or what precedes and touches, that object in the list.
        """
        where: list[str] = ["kind = ?", "json_extract(private, '$.deleted') IS NULL"]
        values: list[Any] = [kind]
        for path, value in (equal or {}).items():
            where.append(f"json_extract(body, '$.{path}') = ?")
            values.append(value)
        if one_of is not None:
            where.append(f"json_extract(body, '$.{one_of[0]}') IN ({', '.join('?' * len(one_of[1]))})")
            values.extend(one_of[1])
        signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
        for word, seconds in (created or {}).items():
            where.append(f"created {signs[word]} ?")
            values.append(seconds)
        if after is not None:
            where.append("(created, seq) < (SELECT created, seq FROM objects WHERE id = ?)")
            values.append(after)
        if before is not None:
            where.append("(created, seq) > (SELECT created, seq FROM objects WHERE id = ?)")
            values.append(before)
        order = "ASC" if before else "DESC"
        query = (
            f"SELECT body, private FROM objects WHERE {' AND '.join(where)} "  # noqa: S608 -- paths are the twin's own words
            f"ORDER BY created {order}, seq {order} LIMIT {-1 if limit is None else limit}"
        )
        records = [_record(row) for row in self._rows(query, *values)]
        return records[::-1] if before else records

    def list_kinds(self) -> dict[str, int]:
        return dict(self._rows("SELECT kind, count(*) FROM objects GROUP BY kind ORDER BY kind"))

    def list_due_sessions(self, now: float) -> list[Record]:
        return [
            _record(row)
            for row in self._rows(
                "SELECT body, private FROM objects WHERE kind = 'checkout.session' "
                "AND json_extract(body, '$.status') = 'open' AND json_extract(body, '$.expires_at') <= ?",
                now,
            )
        ]

    def list_due_refunds(self, now: float) -> list[Record]:
        """Those whose fate is known only now."""
        return [
            _record(row)
            for row in self._rows(
                "SELECT body, private FROM objects WHERE kind = 'refund' "
                "AND json_extract(private, '$.turns_at') <= ? ORDER BY rowid",
                now,
            )
        ]

    def list_due_intents(self, now: float) -> list[Record]:
        """Those on which a bank has decided by now."""
        return [
            _record(row)
            for row in self._rows(
                "SELECT body, private FROM objects WHERE kind = 'payment_intent' "
                "AND json_extract(private, '$.turns_at') <= ? ORDER BY rowid",
                now,
            )
        ]

    def list_due_charges(self, now: float) -> list[Record]:
        """Those whose bank disputes them now."""
        return [
            _record(row)
            for row in self._rows(
                "SELECT body, private FROM objects WHERE kind = 'charge' "
                "AND json_extract(private, '$.disputed_at') <= ? ORDER BY rowid",
                now,
            )
        ]

    def list_due_disputes(self, now: float) -> list[Record]:
        """Those whose evidence is due now."""
        return [
            _record(row)
            for row in self._rows(
                "SELECT body, private FROM objects WHERE kind = 'dispute' "
                "AND json_extract(private, '$.due_at') <= ? ORDER BY rowid",
                now,
            )
        ]

    def list_due_invoices(self, now: float) -> list[Record]:
        """Open ones that have become overdue."""
        return [
            _record(row)
            for row in self._rows(
                "SELECT body, private FROM objects WHERE kind = 'invoice' AND json_extract(body, '$.status') = 'open' "
                "AND json_extract(private, '$.overdue') IS NULL AND json_extract(body, '$.due_date') <= ? "
                "ORDER BY rowid",
                now,
            )
        ]

    # Idempotency

    def find_answer(self, key: str, *, not_before: float) -> SavedAnswer | None:
        rows = self._rows(
            "SELECT fingerprint, status, body, request_id FROM saved_answers WHERE key = ? AND created >= ?",
            key,
            not_before,
        )
        return SavedAnswer(*rows[0]) if rows else None

    def save_answer(self, key: str, answer: SavedAnswer, *, created: float) -> None:
        self._run(
            "INSERT OR REPLACE INTO saved_answers VALUES (?, ?, ?, ?, ?, ?)",
            key,
            answer.fingerprint,
            answer.status,
            answer.body,
            answer.request_id,
            created,
        )

    # Webhook deliveries

    def add_delivery(self, event_id: str, endpoint_id: str, *, state: str, due_at: float, twist: JsonObject) -> None:
        self._run(
            "INSERT INTO deliveries (event_id, endpoint_id, state, due_at, twist) VALUES (?, ?, ?, ?, ?)",
            event_id,
            endpoint_id,
            state,
            due_at,
            json.dumps(twist),
        )

    def find_due_delivery(self, now: float) -> Delivery | None:
        rows = self._rows(
            "SELECT id, event_id, endpoint_id, attempts, twist FROM deliveries "
            "WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, id LIMIT 1",
            now,
        )
        if not rows:
            return None
        delivery_id, event_id, endpoint_id, attempts, twist = rows[0]
        return Delivery(delivery_id, event_id, endpoint_id, attempts, json.loads(twist))

    def mark_delivery(self, delivery_id: int, *, state: str, due_at: float, result: str) -> None:
        self._run(
            "UPDATE deliveries SET state = ?, due_at = ?, last_result = ?, attempts = attempts + 1 WHERE id = ?",
            state,
            due_at,
            result,
            delivery_id,
        )

    def release_deliveries(self, *, reverse: bool, now: float, group: str | None = None) -> int:
        """Make held deliveries due, in the order they were held or the reverse of it; says how many."""
        order = "DESC" if reverse else "ASC"
        rows = self._rows(f"SELECT id, twist FROM deliveries WHERE state = 'held' ORDER BY id {order}")  # noqa: S608 -- one of two words
        ids = [row[0] for row in rows if group is None or json.loads(row[1]).get("group") == group]
        for position, delivery_id in enumerate(ids):
            # Microseconds apart and in the past, so that all are due at once and yet have an order.
            due_at = now - (len(ids) - position) / 1000
            self._run("UPDATE deliveries SET state = 'pending', due_at = ? WHERE id = ?", due_at, delivery_id)
        return len(ids)

    def count_held(self, group: str) -> int:
        rows = self._rows("SELECT twist FROM deliveries WHERE state = 'held'")
        return sum(json.loads(twist).get("group") == group for (twist,) in rows)

    def hurry_deliveries(self, *, now: float) -> int:
        """Make every delivery that waits for a retry due now; says how many."""
        waiting = len(self._rows("SELECT 1 FROM deliveries WHERE state = 'pending' AND due_at > ?", now))
        self._run("UPDATE deliveries SET due_at = ? WHERE state = 'pending' AND due_at > ?", now, now)
        return waiting

    def list_deliveries(self) -> list[JsonObject]:
        names = ("id", "event", "type", "endpoint", "state", "attempts", "due_at", "last_result", "twist")
        rows = self._rows(
            "SELECT d.id, d.event_id, json_extract(o.body, '$.type'), d.endpoint_id, d.state, d.attempts, d.due_at, "
            "d.last_result, d.twist FROM deliveries d JOIN objects o ON o.id = d.event_id ORDER BY d.id"
        )
        return [dict(zip(names, (*row[:8], json.loads(row[8])), strict=True)) for row in rows]

    # Book-keeping

    def add_violation(self, direction: str, subject: str, problems: Sequence[str], *, at: float) -> None:
        if direction != "request":
            tally.count("broken")
        self._run(
            "INSERT INTO violations (at, direction, subject, problems) VALUES (?, ?, ?, ?)",
            at,
            direction,
            subject,
            json.dumps(list(problems)),
        )

    def list_violations(self) -> list[JsonObject]:
        rows = self._rows("SELECT at, direction, subject, problems FROM violations ORDER BY id")
        return [
            {"at": at, "direction": direction, "subject": subject, "problems": json.loads(problems)}
            for at, direction, subject, problems in rows
        ]

    def clear_violations(self) -> None:
        self._run("DELETE FROM violations")

    def add_request(
        self, *, at: float, method: str, path: str, params: JsonObject, key: str | None, request_id: str, outcome: str
    ) -> None:
        self._run(
            "INSERT INTO requests (at, method, path, params, idempotency_key, request_id, outcome) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            at,
            method,
            path,
            json.dumps(params),
            key,
            request_id,
            outcome,
        )

    def list_requests(self) -> list[JsonObject]:
        names = ("at", "method", "path", "params", "idempotency_key", "request_id", "outcome")
        rows = self._rows(
            "SELECT at, method, path, params, idempotency_key, request_id, outcome FROM requests ORDER BY id"
        )
        return [dict(zip(names, (*row[:3], json.loads(row[3]), *row[4:]), strict=True)) for row in rows]

    def setting(self, name: str) -> Any:
        rows = self._rows("SELECT value FROM settings WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else None

    def set_setting(self, name: str, value: Any) -> None:
        self._run("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, json.dumps(value))

    def _run(self, statement: str, *values: Any) -> None:
        with self._lock:
            self._connection.execute(statement, values)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


def _record(row: Sequence[str]) -> Record:
    return Record(body=json.loads(row[0]), private=json.loads(row[1]))

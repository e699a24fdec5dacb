"""The tables, the same on SQLite and on PostgreSQL; migrations/ is what builds them.

Keys that come from outside (names, commits, hashes of a hub) are digests: a database limits how long an
indexed text may be, a hub does not have to. JSON is kept as ASCII text, so that what was written is what
is read, on both, whatever a hub puts into a name.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

# SQLite counts rows by INTEGER only.
BigId = BigInteger().with_variant(Integer, "sqlite")
Digest = String(64)


class Time(TypeDecorator[datetime]):
    """UTC, aware: SQLite forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Printable(TypeDecorator[str]):
    """Text from outside: what no database takes (NUL, half a surrogate pair) is written as its escape."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[Any]:
    return Column("id", BigId, primary_key=True)


def _required(name: str, kind: Any, *constraints: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, *constraints, nullable=False, **options)


# --- what is protected -------------------------------------------------------------------------------

models = Table(
    "models",
    metadata,
    _id(),
    _required("model_key", Digest),  # of name, commit and schemes
    _required("name", Printable),
    _required("owner", Printable),
    _required("role", String(16)),
    _required("uri", Printable),
    _required("entry", Text),  # the RegisteredModel but for its id, as JSON
    _required("dims", Text),  # JSON: scheme -> length of its vectors
    _required("fingerprint_sha256", Digest),
    Column("removed_at", Time),
    Index(
        "uq_models_live",
        "model_key",
        unique=True,
        sqlite_where=text("removed_at IS NULL"),
        postgresql_where=text("removed_at IS NULL"),
    ),
)

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True, autoincrement=False),
    _required("data", LargeBinary),  # a fingerprint file
)

model_files = Table(
    "model_files",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True, autoincrement=False),
    Column("sha256", Digest, primary_key=True, index=True),
)

# --- what was scanned --------------------------------------------------------------------------------

runs = Table(
    "runs",
    metadata,
    _id(),
    _required("kind", Printable),
    _required("parameters", Text),  # canonical JSON
    _required("run_key", Digest, index=True),  # of kind and parameters
    _required("judged_by", Digest),  # of schemes, register version and budget
    _required("started_at", Time),
    Column("finished_at", Time),
)

planned = Table(
    "planned",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True, autoincrement=False),
    Column("subject_key", Digest, primary_key=True),  # of source, repository and commit
    _required("position", Integer),
    _required("subject", Text),  # a RepoRevision as JSON
)

outcomes = Table(
    "outcomes",
    metadata,
    _id(),
    _required("run_id", BigId),
    _required("subject_key", Digest),
    _required("uri", Printable),
    _required("kind", String(16)),  # finding, acquittal or skipped
    Column("verdict", String(16)),  # of a finding
    Column("reason", Printable),  # of what was skipped
    _required("bytes_read", BigInteger),
    _required("requests", BigInteger),
    _required("judged_by", Digest),
    _required("recorded_at", Time),
    _required("outcome", Text),
    ForeignKeyConstraint(["run_id", "subject_key"], ["planned.run_id", "planned.subject_key"]),
    UniqueConstraint("run_id", "subject_key"),
    Index("ix_outcomes_subject_key_judged_by", "subject_key", "judged_by"),
    Index("ix_outcomes_kind_run_id", "kind", "run_id"),
)

# --- what was decided --------------------------------------------------------------------------------

ledger = Table(
    "ledger",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=False),
    _required("hash", Digest),
    _required("entry", Text),  # canonical JSON, the previous hash included
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, 1
    _required("sequence", BigInteger),
    _required("hash", Digest),
)

cases = Table(
    "cases",
    metadata,
    _id(),
    _required("suspect_key", Digest, index=True),  # of source and repository
    _required("source", Printable),
    _required("repo", Printable),
    _required("status", String(32), index=True),
    Column("outcome", String(32)),
    _required("disagreement", Boolean),
    _required("opened_at", Time),
    _required("updated_at", Time),
    Index(
        "uq_cases_unclosed",
        "suspect_key",
        unique=True,
        sqlite_where=text("status != 'closed'"),
        postgresql_where=text("status != 'closed'"),
    ),
)

case_findings = Table(
    "case_findings",
    metadata,
    _id(),
    _required("case_id", BigId, ForeignKey("cases.id"), index=True),
    _required("finding_key", Digest, index=True),  # of suspect, commit and reference
    _required("evidence_key", Digest),  # of finding_key, verdict, relation and schemes
    Column("weights_key", Digest, index=True),  # of the reference and the hashes of the weight files
    _required("score", Float),
    _required("added_at", Time),
    _required("finding", Text),
    UniqueConstraint("case_id", "evidence_key"),
)

case_activities = Table(
    "case_activities",
    metadata,
    _id(),
    _required("case_id", BigId, ForeignKey("cases.id"), index=True),
    _required("at", Time),
    _required("actor", Printable),
    _required("automated", Boolean),
    Column("previous", String(32)),
    _required("status", String(32)),
    Column("outcome", String(32)),  # a decision's
    _required("reasons", Text),  # JSON
    _required("note", Printable),
)

"""The first tables; the ledger and the activities take no update and no deletion."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Digest = sa.String(64)
Word = sa.String(32)
Time = sa.DateTime(timezone=True)
APPEND_ONLY = ("ledger", "case_activities")
GENESIS = "0" * 64


def upgrade() -> None:
    _what_is_protected()
    _what_was_scanned()
    _what_was_decided()
    _cases()
    for table in APPEND_ONLY:
        _refuse_changes(table)


def downgrade() -> None:
    _refuse_changes_no_more()
    for table in (
        "case_activities",
        "case_findings",
        "cases",
        "ledger_head",
        "ledger",
        "outcomes",
        "planned",
        "runs",
        "model_files",
        "fingerprints",
        "models",
    ):
        op.drop_table(table)


def _what_is_protected() -> None:
    op.create_table(
        "models",
        _id(),
        _required("model_key", Digest),
        _required("name", sa.Text()),
        _required("owner", sa.Text()),
        _required("role", sa.String(16)),
        _required("uri", sa.Text()),
        _required("entry", sa.Text()),
        _required("dims", sa.Text()),
        _required("fingerprint_sha256", Digest),
        sa.Column("removed_at", Time),
    )
    _index_some("uq_models_live", "models", "model_key", "removed_at IS NULL")
    op.create_table("fingerprints", _model(), _required("data", sa.LargeBinary()))
    op.create_table("model_files", _model(), sa.Column("sha256", Digest, primary_key=True))
    _index("model_files", "sha256")


def _what_was_scanned() -> None:
    op.create_table(
        "runs",
        _id(),
        _required("kind", sa.Text()),
        _required("parameters", sa.Text()),
        _required("run_key", Digest),
        _required("judged_by", Digest),
        _required("started_at", Time),
        sa.Column("finished_at", Time),
    )
    _index("runs", "run_key")
    op.create_table(
        "planned",
        sa.Column("run_id", BigId, sa.ForeignKey("runs.id"), primary_key=True, autoincrement=False),
        sa.Column("subject_key", Digest, primary_key=True),
        _required("position", sa.Integer()),
        _required("subject", sa.Text()),
    )
    _outcomes()


def _outcomes() -> None:
    op.create_table(
        "outcomes",
        _id(),
        _required("run_id", BigId),
        _required("subject_key", Digest),
        _required("uri", sa.Text()),
        _required("kind", sa.String(16)),
        sa.Column("verdict", sa.String(16)),
        sa.Column("reason", sa.Text()),
        _required("bytes_read", sa.BigInteger()),
        _required("requests", sa.BigInteger()),
        _required("judged_by", Digest),
        _required("recorded_at", Time),
        _required("outcome", sa.Text()),
        sa.ForeignKeyConstraint(
            ["run_id", "subject_key"],
            ["planned.run_id", "planned.subject_key"],
            name="fk_outcomes_run_id_subject_key",
        ),
        sa.UniqueConstraint("run_id", "subject_key", name="uq_outcomes_run_id_subject_key"),
    )
    _index("outcomes", "subject_key", "judged_by")
    _index("outcomes", "kind", "run_id")


def _what_was_decided() -> None:
    op.create_table(
        "ledger",
        sa.Column("sequence", BigId, primary_key=True, autoincrement=False),
        _required("hash", Digest),
        _required("entry", sa.Text()),
    )
    head = op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _required("sequence", sa.BigInteger()),
        _required("hash", Digest),
    )
    op.bulk_insert(head, [{"id": 1, "sequence": 0, "hash": GENESIS}])


def _cases() -> None:
    op.create_table(
        "cases",
        _id(),
        _required("suspect_key", Digest),
        _required("source", sa.Text()),
        _required("repo", sa.Text()),
        _required("status", Word),
        sa.Column("outcome", Word),
        _required("disagreement", sa.Boolean()),
        _required("opened_at", Time),
        _required("updated_at", Time),
    )
    _index("cases", "suspect_key")
    _index("cases", "status")
    _index_some("uq_cases_unclosed", "cases", "suspect_key", "status != 'closed'")
    _case_findings()
    _case_activities()


def _case_findings() -> None:
    op.create_table(
        "case_findings",
        _id(),
        _case(),
        _required("finding_key", Digest),
        _required("evidence_key", Digest),
        sa.Column("weights_key", Digest),
        _required("score", sa.Float()),
        _required("added_at", Time),
        _required("finding", sa.Text()),
        sa.UniqueConstraint("case_id", "evidence_key", name="uq_case_findings_case_id_evidence_key"),
    )
    for column in ("case_id", "finding_key", "weights_key"):
        _index("case_findings", column)


def _case_activities() -> None:
    op.create_table(
        "case_activities",
        _id(),
        _case(),
        _required("at", Time),
        _required("actor", sa.Text()),
        _required("automated", sa.Boolean()),
        sa.Column("previous", Word),
        _required("status", Word),
        sa.Column("outcome", Word),
        _required("reasons", sa.Text()),
        _required("note", sa.Text()),
    )
    _index("case_activities", "case_id")


# --- words for the above -----------------------------------------------------------------------------


def _id() -> sa.Column[Any]:
    return sa.Column("id", BigId, primary_key=True)


def _model() -> sa.Column[Any]:
    return sa.Column("model_id", BigId, sa.ForeignKey("models.id"), primary_key=True, autoincrement=False)


def _case() -> sa.Column[Any]:
    return sa.Column("case_id", BigId, sa.ForeignKey("cases.id"), nullable=False)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _index_some(name: str, table: str, column: str, which: str) -> None:
    where = sa.text(which)
    op.create_index(name, table, [column], unique=True, sqlite_where=where, postgresql_where=where)


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION kinprint_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "EXECUTE FUNCTION kinprint_append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _refuse_changes_no_more() -> None:
    """A dropped table takes its triggers along, but not PostgreSQL's function."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION kinprint_append_only() CASCADE")

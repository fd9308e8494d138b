"""Calls and their entries.

A version only ever adds: during a deploy the program before it still writes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(300), primary_key=True),
        sa.Column("agent", sa.String(300), nullable=False),
        sa.Column("number", sa.String(300), nullable=False),
        sa.Column("line", sa.String(300), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("keep_until", sa.DateTime(timezone=True)),
        sa.Column("facts", sa.JSON, nullable=False),
    )
    op.create_index("calls_by_time", "calls", ["started"])
    op.create_index("calls_by_number", "calls", ["number"])
    op.create_index("calls_by_keeping", "calls", ["keep_until"])
    op.create_table(
        "entries",
        sa.Column("call_id", sa.String(300), primary_key=True),
        sa.Column("session", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(300), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
    )
    op.create_table(
        "deletions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
    )


def downgrade() -> None:
    for table in ("deletions", "entries", "calls"):
        op.drop_table(table)

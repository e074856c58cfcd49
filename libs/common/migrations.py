"""Runs a service's alembic migrations. Each service owns `migrations/`; what their env.py files share stands here.

python -m libs.common.migrations services.audio     brings the database of DATABASE_URL up to date (a one-shot job)
"""

import argparse
import asyncio
import os
from typing import Any

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from libs.common import table_rights

# Two replicas that start at once must not migrate at once. Any constant; the database is the service's own.
LOCK_KEY = 0x6D696772617465  # "migrate"


async def upgrade(package: str, url: str) -> None:
    """Bring the database at `url` to the newest revision of `package` (such as `services.audio`)."""
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_KEY)))
        await connection.run_sync(_upgrade, config)
    await engine.dispose()


def _upgrade(connection: sa.Connection, config: Config) -> None:
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run_env(metadata: sa.MetaData) -> None:
    """The body of every service's env.py: migrate inside the transaction that `upgrade` opened, then say who may do what."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata)
    context.run_migrations()
    table_rights.grant(connection, metadata)


def create_messaging_tables_v1(op: Any) -> None:
    """Outbox and inbox as of the first release, by alembic's `op`. Frozen: a change is a new function and a new revision."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("message_id", UUID(as_uuid=False), nullable=False, unique=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("routing_key", sa.Text, nullable=False),
        sa.Column("must_route", sa.Boolean, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
    )
    op.create_index("outbox_unsent", "outbox", ["id"], postgresql_where=sa.text("sent_at IS NULL"))
    op.create_index("outbox_sent_at", "outbox", ["sent_at"], postgresql_where=sa.text("sent_at IS NOT NULL"))
    op.create_table(
        "inbox",
        sa.Column("message_id", UUID(as_uuid=False), primary_key=True),
        sa.Column("handler", sa.Text, primary_key=True),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("inbox_processed_at", "inbox", ["processed_at"])


def change_messaging_tables_v2(op: Any) -> None:
    """Outbox and inbox as of the second release: buckets for shards, no index that reads past what is sent, attempts.

    What is unsent at that moment is in bucket 0, hence all of it in one shard and in order.
    """
    op.add_column("outbox", sa.Column("bucket", sa.SmallInteger, nullable=False, server_default="0"))
    op.drop_constraint("outbox_pkey", "outbox")
    op.drop_constraint("outbox_message_id_key", "outbox")
    op.create_primary_key("outbox_pkey", "outbox", ["message_id"])
    op.add_column("inbox", _attempt())


def create_inbox_v2(op: Any) -> None:
    """The inbox as of the second release, for a service that publishes no events."""
    op.create_table(
        "inbox",
        sa.Column("message_id", UUID(as_uuid=False), primary_key=True),
        sa.Column("handler", sa.Text, primary_key=True),
        _attempt(),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("inbox_processed_at", "inbox", ["processed_at"])


def create_deleted_users_v1(op: Any) -> None:
    """The numbers of accounts that are gone, for a service that keeps something of people."""
    op.create_table(
        "deleted_users",
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
    )


def _attempt() -> sa.Column[int]:
    return sa.Column("attempt", sa.SmallInteger, nullable=False, server_default="1")


def main() -> None:
    """Command line of the one-shot migration job."""
    parser = argparse.ArgumentParser(description="Migrate a service's database (DATABASE_URL) to the newest revision.")
    parser.add_argument("package", help="such as services.audio")
    arguments = parser.parse_args()
    url = os.environ.get("DATABASE_URL")
    if url is None:
        parser.error("DATABASE_URL is not set: postgresql+asyncpg://user:password@host/database")
    asyncio.run(upgrade(arguments.package, url))


if __name__ == "__main__":
    main()

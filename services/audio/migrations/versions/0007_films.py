"""Films that scenes are to be made of, and jobs without a take. No row of `jobs` is rewritten."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    films = op.create_table(
        "films",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("youtube_url", sa.Text, nullable=False),
        sa.Column("movie_name", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("youtube_url", "movie_name", "actor_name", name="films_key"),
    )
    op.add_column("jobs", sa.Column("film_id", UUID(as_uuid=True), sa.ForeignKey(films.c.id)))
    op.alter_column("jobs", "take_id", nullable=True)
    op.alter_column("jobs", "token_id", nullable=True)
    # NOT VALID: the rows that there are had no other choice, and need not be read to know it.
    op.execute(
        "ALTER TABLE jobs ADD CONSTRAINT jobs_about"
        " CHECK (num_nonnulls(take_id, film_id) = 1 AND (token_id IS NULL) = (take_id IS NULL)) NOT VALID"
    )
    op.create_index(
        "jobs_open_of_film",
        "jobs",
        ["film_id"],
        unique=True,
        postgresql_where=sa.text("film_id IS NOT NULL AND finished_at IS NULL"),
    )
    op.execute("INSERT INTO turns (priority, turn) VALUES ('film', 0)")

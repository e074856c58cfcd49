"""What my page and scores are read from, and the objects that are to be erased."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Results are whatever a server posted: only a number that is surely one in 0..1 is taken over.
_SCORES = """
    UPDATE jobs SET score = found.score
    FROM (
        SELECT
            id,
            CASE
                WHEN json_typeof(posted) = 'number' AND posted::text ~ '^[0-9.]{1,25}([eE]-[0-9]{1,2})?$'
                THEN posted::text::double precision
            END AS score
        FROM (SELECT id, result #> '{result,overall_score}' AS posted FROM jobs WHERE state = 'completed') AS results
    ) AS found
    WHERE jobs.id = found.id AND found.score BETWEEN 0 AND 1
"""


def upgrade() -> None:
    for name in ("category", "youtube_url", "thumbnail_url"):
        op.add_column("tokens", sa.Column(name, sa.Text))
    op.add_column("jobs", sa.Column("score", sa.Float))
    op.execute(sa.text(_SCORES))
    op.create_index(
        "takes_of_user", "takes", ["user_id", "token_id", "created_at"], postgresql_where=sa.text("user_id IS NOT NULL")
    )
    op.create_index(
        "jobs_results_of_user",
        "jobs",
        ["user_id", "token_id", "script_id", "created_at"],
        postgresql_include=["score"],
        postgresql_where=sa.text("state = 'completed' AND user_id IS NOT NULL"),
    )
    op.create_index("jobs_of_take", "jobs", ["take_id"])
    op.create_index("upload_keys_job_id", "upload_keys", ["job_id"])
    op.create_table(
        "objects_to_erase",
        sa.Column("object_key", sa.Text, primary_key=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.SmallInteger, nullable=False),
    )
    op.create_index("objects_to_erase_due_at", "objects_to_erase", ["due_at"])

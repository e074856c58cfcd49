"""Tables of catalog."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

METADATA = sa.MetaData()

# One sequence for the versions of all lines, one for those of all scenes, so that what is deleted and comes back never repeats
# a version.
SCRIPT_VERSIONS = sa.Sequence("script_versions", metadata=METADATA)
TOKEN_VERSIONS = sa.Sequence("token_versions", metadata=METADATA)

URLS = sa.Table(
    "urls",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("youtube_url", sa.Text, nullable=False, unique=True),
    sa.Column("scenes", sa.Integer, nullable=False, server_default="0"),  # how many; kept by a trigger on `tokens`
    sa.Index("ix_urls_pairs", "id", postgresql_where=sa.text("scenes = 2")),
)


def _search_indexes(table: str) -> list[sa.Index]:
    """For names from their beginning, by any part, by initial consonants, and by likeness."""
    return [
        sa.Index(f"ix_{table}_folded", "folded", postgresql_ops={"folded": "text_pattern_ops"}),
        sa.Index(f"ix_{table}_pieces", sa.text("name_pieces(folded)"), postgresql_using="gin"),
        sa.Index(f"ix_{table}_initials", sa.text("name_pieces(initial_consonants(folded))"), postgresql_using="gin"),
        sa.Index(f"ix_{table}_alike", "folded", postgresql_using="gin", postgresql_ops={"folded": "gin_trgm_ops"}),
    ]


ACTORS = sa.Table(
    "actors",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("folded", sa.Text, nullable=False),  # as `folding.fold` makes it: what a search looks at
    *_search_indexes("actors"),
)

ACTOR_ALIASES = sa.Table(
    "actor_aliases",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("folded", sa.Text, nullable=False),
    sa.UniqueConstraint("actor_id", "name"),
    *_search_indexes("actor_aliases"),
)

IS_SHORT = sa.text("end_time - start_time < 20")

TOKENS = sa.Table(
    "tokens",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("token_name", sa.Text, nullable=False),
    sa.Column("actor_name", sa.Text, nullable=False),
    sa.Column("category", sa.Text),
    sa.Column("start_time", sa.Double, nullable=False),  # seconds into the film
    sa.Column("end_time", sa.Double, nullable=False),
    sa.Column("s3_textgrid_url", sa.Text),
    sa.Column("s3_pitch_url", sa.Text),
    sa.Column("s3_bgvoice_url", sa.Text),
    sa.Column("thumbnail_url", sa.Text),
    sa.Column("url_id", sa.Integer, sa.ForeignKey("urls.id"), nullable=False, index=True),
    sa.Column("view_count", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("version", sa.BigInteger, nullable=False),  # of the last change that was published
    sa.Index("ix_tokens_views", "view_count", "id"),
    sa.Index("ix_tokens_category", "category", "id"),
    # Scenes below 20 seconds are for practising again and again, in an order that looks random.
    sa.Index("ix_tokens_short", sa.text("md5(id::text)"), "id", postgresql_where=IS_SHORT),
)

TOKEN_ACTORS = sa.Table(
    "token_actors",
    METADATA,
    sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True),
    sa.Index("ix_token_actors_actor", "actor_id", "token_id"),
)

SCRIPTS = sa.Table(
    "scripts",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False),
    sa.Column("start_time", sa.Double, nullable=False),
    sa.Column("end_time", sa.Double, nullable=False),
    sa.Column("script", sa.Text, nullable=False),
    sa.Column("translation", sa.Text),
    sa.Column("version", sa.BigInteger, nullable=False),  # of the last change that was published
    sa.Index("ix_scripts_spoken", "token_id", "start_time", "id"),
)

WORDS = sa.Table(
    "words",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("script_id", sa.Integer, sa.ForeignKey("scripts.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("start_time", sa.Double),
    sa.Column("end_time", sa.Double),
    sa.Column("word", sa.Text),
    sa.Column("probability", sa.Double),
    # frames x 13. JSON and not REAL[][]: it comes as short decimals and leaves as JSON, and a trip through binary floats
    # would turn 0.12 into 0.11999999731779099 in every event.
    sa.Column("mfcc", JSONB(none_as_null=True)),
)

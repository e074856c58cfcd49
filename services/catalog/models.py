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
)

ACTORS = sa.Table(
    "actors",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("folded", sa.Text, nullable=False),  # as `folding.fold` makes it: what a search looks at
)

ACTOR_ALIASES = sa.Table(
    "actor_aliases",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("folded", sa.Text, nullable=False),
    sa.UniqueConstraint("actor_id", "name"),
)

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
)

TOKEN_ACTORS = sa.Table(
    "token_actors",
    METADATA,
    sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True, index=True),
)

SCRIPTS = sa.Table(
    "scripts",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("start_time", sa.Double, nullable=False),
    sa.Column("end_time", sa.Double, nullable=False),
    sa.Column("script", sa.Text, nullable=False),
    sa.Column("translation", sa.Text),
    sa.Column("version", sa.BigInteger, nullable=False),  # of the last change that was published
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

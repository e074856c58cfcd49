"""For reading at any size: names by their pieces, initial consonants and likeness; lists in index order; scenes of a film."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAMES = ("actors", "actor_aliases")

# Both call only what is PostgreSQL's own: an index must not depend on the search path that a restore has.
_PIECES = """
CREATE FUNCTION name_pieces(name text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(DISTINCT substr(name, first, size)), '{}')
  FROM generate_series(1, length(name)) AS first, (VALUES (1), (2)) AS sizes (size)
$$
"""
# A syllable is 44032 + 588 * initial + 28 * vowel + final (Unicode, 3.12).
_INITIALS = """
CREATE FUNCTION initial_consonants(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT coalesce(string_agg(initials[1 + (ascii(letter) - 44032) / 588], '' ORDER BY at), '')
  FROM string_to_array('ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ', NULL) AS initials,
       unnest(string_to_array(name, NULL)) WITH ORDINALITY AS letters (letter, at)
  WHERE ascii(letter) BETWEEN 44032 AND 55203
$$
"""
# By the database itself, because scenes come and go on several ways and a count that one of them forgets stays wrong.
_COUNT = """
CREATE FUNCTION count_scenes_of_film() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN UPDATE urls SET scenes = scenes - 1 WHERE id = OLD.url_id; END IF;
  IF TG_OP <> 'DELETE' THEN UPDATE urls SET scenes = scenes + 1 WHERE id = NEW.url_id; END IF;
  RETURN NULL;
END
$$
"""
_COUNTING = """
CREATE TRIGGER count_scenes_of_film AFTER INSERT OR DELETE OR UPDATE OF url_id ON tokens
FOR EACH ROW EXECUTE FUNCTION count_scenes_of_film()
"""


def upgrade() -> None:
    _need_trigrams()
    op.execute(_PIECES)
    op.execute(_INITIALS)
    for table in NAMES:
        op.create_index(f"ix_{table}_folded", table, ["folded"], postgresql_ops={"folded": "text_pattern_ops"})
        op.create_index(f"ix_{table}_pieces", table, [sa.text("name_pieces(folded)")], postgresql_using="gin")
        initials = sa.text("name_pieces(initial_consonants(folded))")
        op.create_index(f"ix_{table}_initials", table, [initials], postgresql_using="gin")
        trigrams = {"folded": "gin_trgm_ops"}
        op.create_index(f"ix_{table}_alike", table, ["folded"], postgresql_using="gin", postgresql_ops=trigrams)

    op.add_column("urls", sa.Column("scenes", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE urls SET scenes = (SELECT count(*) FROM tokens WHERE url_id = urls.id)")
    op.execute(_COUNT)
    op.execute(_COUNTING)
    op.create_index("ix_urls_pairs", "urls", ["id"], postgresql_where=sa.text("scenes = 2"))

    op.create_index("ix_tokens_views", "tokens", ["view_count", "id"])
    op.create_index("ix_tokens_category", "tokens", ["category", "id"])
    short = sa.text("end_time - start_time < 20")
    op.create_index("ix_tokens_short", "tokens", [sa.text("md5(id::text)"), "id"], postgresql_where=short)
    op.create_index("ix_token_actors_actor", "token_actors", ["actor_id", "token_id"])
    op.drop_index("ix_token_actors_actor_id", "token_actors")
    op.create_index("ix_scripts_spoken", "scripts", ["token_id", "start_time", "id"])
    op.drop_index("ix_scripts_token_id", "scripts")


def _need_trigrams() -> None:
    connection = op.get_bind()
    try:
        connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError as error:
        raise RuntimeError(
            "the catalogue needs PostgreSQL's extension pg_trgm and could not add it: install the server's contrib package, and"
            " let the owner of the database, or a superuser, run CREATE EXTENSION pg_trgm in it"
            f" ({str(error.orig).splitlines()[0]})"
        ) from error

"""What the role that a service runs as may do with the tables that its migrations made: rows, and nothing else.

A service's database has two roles. The owner makes the tables and is used by migrations alone; `<owner>_service` gets its
rights here, in the transaction that migrates: a new table is never without them, and never has more than its model says.
Where there is no such role (a server that somebody brings, tests) the owner runs the service, and nothing is granted.
"""

from typing import Any, Final

import sqlalchemy as sa

ROWS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
ADDED_TO: Final[dict[str, Any]] = {"rights": ("SELECT", "INSERT")}
"""`sa.Table(.., info=ADDED_TO)`: rows are only added, as in an audit log."""

_BOOKKEEPING = "alembic_version"

_ROLE = sa.text("SELECT rolname FROM pg_roles WHERE rolname = current_user || '_service'")
_TABLES = sa.text(
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    " AND pg_get_userbyid(relowner) = current_user ORDER BY relname"
)
_SEQUENCES = sa.text(
    "SELECT sequences.relname AS name, tables.relname AS of FROM pg_class AS sequences"
    " LEFT JOIN pg_depend ON objid = sequences.oid AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')"
    " LEFT JOIN pg_class AS tables ON tables.oid = refobjid AND tables.relkind IN ('r', 'p')"
    " WHERE sequences.relkind = 'S' AND sequences.relnamespace = 'public'::regnamespace"
    " AND pg_get_userbyid(sequences.relowner) = current_user ORDER BY 1"
)
# Of ours alone: an extension's functions have their own rights. What returns a trigger is called by nobody.
_FUNCTIONS = sa.text(
    "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    " AND pg_get_userbyid(proowner) = current_user AND prorettype <> 'trigger'::regtype ORDER BY 1"
)


def grant(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Give the service's role what the models in `metadata` say (`ROWS` unless told), and take what it has beyond that."""
    role = connection.execute(_ROLE).scalar()
    if role is None:
        return
    quote = connection.dialect.identifier_preparer.quote
    to = quote(role)
    # PostgreSQL gives everybody the schema; since 15 nobody may make anything in it but the owner of the database.
    statements = ["REVOKE ALL ON SCHEMA public FROM PUBLIC", f"GRANT USAGE ON SCHEMA public TO {to}"]
    statements += [f"REVOKE ALL ON ALL {what} IN SCHEMA public FROM {to}" for what in ("TABLES", "SEQUENCES")]
    rights = {name: _of(name, metadata) for name in connection.execute(_TABLES).scalars()}
    statements += [f"GRANT {', '.join(may)} ON {quote(name)} TO {to}" for name, may in rights.items() if may]
    for name, table in connection.execute(_SEQUENCES):
        if table is None:  # on its own: the service takes numbers of it
            statements.append(f"GRANT USAGE ON SEQUENCE {quote(name)} TO {to}")
        elif "UPDATE" in rights[table]:
            # PostgreSQL takes the next number itself; who changes rows may move the counter past numbers from outside.
            statements.append(f"GRANT SELECT, UPDATE ON SEQUENCE {quote(name)} TO {to}")
    statements += [f"GRANT EXECUTE ON FUNCTION {name} TO {to}" for name in connection.execute(_FUNCTIONS).scalars()]
    for statement in statements:
        connection.execute(sa.text(statement))


def _of(table: str, metadata: sa.MetaData) -> tuple[str, ...]:
    if table == _BOOKKEEPING:
        return ()
    model = metadata.tables.get(table)  # those that all services have, as the outbox, are in none of theirs
    return ROWS if model is None else model.info.get("rights", ROWS)

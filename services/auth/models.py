"""Tables of auth."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from libs.common.table_rights import ADDED_TO

METADATA = sa.MetaData()

MAX_ID = 2**31 - 1  # PostgreSQL's integer
# New accounts count from here; the ids below are for those that come from the old service and keep theirs.
FIRST_OWN_ID = 1_000_001

USERS = sa.Table(
    "users",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(start=FIRST_OWN_ID), primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("google_id", sa.Text, unique=True),
    sa.Column("full_name", sa.Text),
    sa.Column("profile_picture", sa.Text),
    # Set by the account's owner here: the provider overwrites it no more.
    sa.Column("own_name", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("own_picture", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("is_admin", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("login_type", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
# One account per address, however it is written; the address itself is kept as its owner writes it.
sa.Index("users_email", sa.func.lower(USERS.c.email), unique=True)

# What a web client brings back from a sign-in, once, within seconds.
SIGN_IN_CODES = sa.Table(
    "sign_in_codes",
    METADATA,
    sa.Column("code_hash", sa.LargeBinary, primary_key=True),  # SHA-256 of what the client has
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("challenge", sa.Text, nullable=False),  # S256 of the verifier that the client must show (RFC 7636)
    sa.Column("used_at", sa.DateTime(timezone=True)),  # kept until its time is over, so that a second use is noticed
    sa.Column("session_id", sa.Text),  # which began with it
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("sign_in_codes_expires_at", "expires_at"),
)

# One sign-in on one device. It goes on while `ended_at` is empty and neither `idle_at` nor `expires_at` has come.
SESSIONS = sa.Table(
    "sessions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),  # `sid` of its access tokens
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("device", sa.Text),  # User-Agent of the last use
    sa.Column("network", sa.Text),  # address of the last use without its last part: 203.0.113.0/24, 2001:db8:1::/48
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("idle_at", sa.DateTime(timezone=True), nullable=False),  # moves at each refresh
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Column("end_reason", sa.Text),
    sa.Index("sessions_user_id", "user_id"),
    sa.Index("sessions_idle_at", "idle_at"),
)

REFRESH_TOKENS = sa.Table(
    "refresh_tokens",
    METADATA,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),  # SHA-256 of what the client has
    sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("used_at", sa.DateTime(timezone=True)),  # kept, so that a second use is noticed
    sa.Index("refresh_tokens_session_id", "session_id"),
)

# Access tokens that were refreshed.
SPENT_TOKENS = sa.Table(
    "spent_tokens",
    METADATA,
    sa.Column("token_id", sa.Text, primary_key=True),  # its `jti`
    sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("spent_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Index("spent_tokens_session_id", "session_id"),
)

# What `session.revoked` said, for whoever did not hear it, as long as tokens of the session are valid. It refers to nothing and
# nobody: it outlives a session that is deleted with its account.
REVOKED_SESSIONS = sa.Table(
    "revoked_sessions",
    METADATA,
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("tokens_until", sa.DateTime(timezone=True), nullable=False),
)

SIGNING_KEYS = sa.Table(
    "signing_keys",
    METADATA,
    sa.Column("kid", sa.Text, primary_key=True),  # RFC 7638 thumbprint of the public key
    sa.Column("public_jwk", JSONB, nullable=False),
    sa.Column("private_pem", sa.Text, nullable=False),  # PKCS#8, encrypted with AUTH_KEY_SECRET
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("retired_at", sa.DateTime(timezone=True)),  # signs nothing from then on
)

# The audit log. Rows are only added: triggers of the database refuse to change or empty it, whoever asks, and to delete what is
# younger than 90 days. It refers to nothing, so that it outlives what it speaks of.
ACTS = sa.Table(
    "acts",
    METADATA,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("service", sa.Text, nullable=False),  # where it happened; `yousync`: an operator's command
    sa.Column("act", sa.Text, nullable=False),  # libs.common.acts.Act
    sa.Column("user_id", sa.Integer),  # who did it
    sa.Column("account_id", sa.Integer),  # whose account it was done to, where that is not who did it
    sa.Column("thing", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("session_id", sa.Text),
    sa.Column("network", sa.Text),
    sa.Column("device", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("times", sa.Integer, nullable=False, server_default="1"),  # refusals of one minute are one row
    sa.Index("acts_user_id", "user_id", "id", postgresql_where=sa.text("user_id IS NOT NULL")),
    sa.Index("acts_account_id", "account_id", "id", postgresql_where=sa.text("account_id IS NOT NULL")),
    sa.Index("acts_act", "act", "id"),
    sa.Index("acts_at", "at"),
    info=ADDED_TO,
)

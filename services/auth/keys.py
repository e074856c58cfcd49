"""The keys that sign access tokens: Ed25519, made by the service itself, shared by its replicas through the database.

The private half lies in the database as PKCS#8, encrypted (PBES2, AES-256) with a secret that is not there: a dump or a
backup signs nothing. PKCS#8, because every tool can read it and no format of ours has to be kept.

`yousync keys rotate` replaces the key: it is retired `ROTATION_SECONDS` from now, the next one is made and published meanwhile,
so that who checks tokens knows it before it signs any. Tokens of the old one stay valid until they expire.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import SecretStr

from libs.common.db import Database
from libs.common.errors import Unavailable
from libs.common.settings import MAX_LEEWAY
from services.auth import repository
from services.auth.repository import StoredKey

log = logging.getLogger(__name__)

ALGORITHM: Final = "Ed25519"  # RFC 9864: the algorithm's own name; "EdDSA" does not say which curve
RELOAD_SECONDS = 60.0  # until a replica notices that the key is retired, or will be
ROTATION_SECONDS = 120.0  # twice that


class KeyUnusable(Unavailable):
    """The signing key in the database cannot be decrypted; the log says so to the operator."""

    code = "key_unusable"

    def __init__(self) -> None:
        super().__init__("로그인을 지금 사용할 수 없습니다. 잠시 후 다시 시도해 주세요.")


class SigningKeys:
    """The platform's signing keys. `token_seconds` is how long a token of theirs lives."""

    def __init__(self, database: Database, *, secret: SecretStr, token_seconds: float) -> None:
        self._database = database
        self._secret = secret
        self._token_seconds = token_seconds
        self._current: OKPKey | None = None
        self._loaded_at = float("-inf")

    async def current(self) -> OKPKey:
        """The key to sign with, private half included. The first call ever makes it; replicas agree on one."""
        if self._current is None or time.monotonic() - self._loaded_at > RELOAD_SECONDS:
            stored = await self._load_or_make()
            if self._current is None or self._current.kid != stored.kid:
                self._current = self._decrypt(stored)
            self._loaded_at = time.monotonic()
        return self._current

    async def public(self, *, expired_for: float = 0.0) -> dict[str, Sequence[dict[str, Any]]]:
        """The JSON Web Key Set (RFC 7517) that verifies every token that is still valid, or expired less than so long ago."""
        await self.current()  # an empty set would be remembered by whoever asks first
        # A replica may sign with a retired key until it looks again.
        retired = RELOAD_SECONDS + self._token_seconds + MAX_LEEWAY + expired_for
        async with self._database.reading() as connection:
            return {"keys": list(await repository.public_keys(connection, retired_within=retired))}

    async def _load_or_make(self) -> StoredKey:
        async with self._database.transaction() as tx:
            if (stored := await repository.key_in_use(tx.connection)) is not None:
                return stored
            await repository.lock_keys(tx.connection)
            if (stored := await repository.key_in_use(tx.connection)) is not None:
                return stored  # another replica was faster
            key = OKPKey.generate_key(ALGORITHM, {"use": "sig", "alg": ALGORITHM}, private=True, auto_kid=True)
            pem = key.as_pem(private=True, password=self._secret.get_secret_value()).decode()
            stored = StoredKey(str(key.kid), dict(key.as_dict(private=False)), pem)
            await repository.add_key(tx.connection, stored)
            log.info("a signing key was made", extra={"kid": stored.kid})
            # Not the new one while an old one goes on: who checks tokens must get to know it first.
            return await repository.key_in_use(tx.connection) or stored

    def _decrypt(self, stored: StoredKey) -> OKPKey:
        try:
            key = OKPKey.import_key(stored.private_pem, {"kid": stored.kid}, password=self._secret.get_secret_value())
            if key.thumbprint() != stored.kid:
                raise ValueError("the private key does not belong to its id")
        except (ValueError, TypeError, JoseError) as error:
            log.error(
                "the signing key cannot be decrypted: is AUTH_KEY_SECRET the one that it was made with?",
                extra={"kid": stored.kid, "error": repr(error)},
            )
            raise KeyUnusable from error
        return key

"""One platform as the people who call it see it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import OKPKey
from pydantic import SecretStr

from libs.common.contracts.audio import JobKind
from libs.common.db import Database
from libs.common.web.auth import jwt_header
from services.audio.tickets import WebhookSigner
from services.auth.keys import ALGORITHM, SigningKeys
from tests.contract.catalogue import DOCUMENT
from tests.e2e.platforms import TAKES, Platform
from yousync.local.postgres import PrivatePostgres
from yousync.local.process import kept_secret

RECORDING = TAKES / "script-1.flac"
CALLERS = ("anonymous", "user", "other", "admin", "expired", "forged")
BEARERS = "test-contract-{}@example.org"


@dataclass(frozen=True, repr=False)
class Site:
    """A platform with the contract's catalogue, and who calls it: `callers[who]` sends that one's bearer."""

    platform: Platform
    callers: dict[str, httpx.Client]
    tokens: dict[str, str]
    key: OKPKey  # the platform's own: what it signs is as good as any token

    @property
    def anonymous(self) -> httpx.Client:
        """Nobody."""
        return self.callers["anonymous"]

    @property
    def user(self) -> httpx.Client:
        """Somebody who has signed in."""
        return self.callers["user"]

    @property
    def other(self) -> httpx.Client:
        """Somebody else who has."""
        return self.callers["other"]

    @property
    def admin(self) -> httpx.Client:
        """An administrator."""
        return self.callers["admin"]

    def sign_in(self, name: str) -> httpx.Client:
        """A person of a test's own."""
        return self._client(self._login(name))

    def upload(self, who: httpx.Client, script_id: int, form: str = "") -> str:
        """The id of a new job of a line."""
        answer = who.post(f"/api/scripts/{script_id}/upload-audio{form}", files=recording())
        assert answer.status_code == 200, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    def finished(self, who: httpx.Client, job_id: str) -> dict[str, Any]:
        """The state of a job that has ended; its stream says when."""
        with who.stream("GET", f"/api/scripts/analysis-progress/{job_id}", timeout=60.0) as stream:
            for _ in stream.iter_lines():
                pass
        state: dict[str, Any] = who.get(f"/api/scripts/analysis-result/{job_id}").json()
        return state

    def signed(self, token: str, **changed: Any) -> str:
        """The token with other claims, signed by the platform; None takes one away."""
        claims = {**jwt_header(token.split(".", 1)[1]), **changed}  # the second part of a JWS is read like its first
        return _encoded({name: value for name, value in claims.items() if value is not None}, self.key, str(self.key.kid))

    def ticket(self, job_id: str, kind: JobKind, *, seconds: float = 60.0) -> str:
        """What lets an analysis server post for a lease of this job that is over."""
        signer = WebhookSigner(kept_secret(self.platform.state_dir / "secrets" / "storage-signing-key").encode(), "")
        lease, expires = "0" * 32, str(int(time.time() + seconds))
        return f"{lease}.{expires}.{signer._signature(job_id, kind, lease, expires)}"

    def close(self) -> None:
        """Nobody calls any more."""
        for client in self.callers.values():
            client.close()

    def _login(self, name: str, *, admin: bool = False) -> str:
        answer = self.anonymous.post("/api/auth/dev-login", json={"email": BEARERS.format(name), "admin": admin})
        token: str = answer.json()["access_token"]
        return token

    def _client(self, token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # no certificates are looked at over plain HTTP, and loading them is most of what a client costs
        return httpx.Client(base_url=self.platform.url, headers=headers, timeout=30.0, trust_env=False, verify=False)


def open_site(platform: Platform) -> Site:
    """A platform that has the contract's catalogue from now on, and everybody signed in."""
    with ThreadPoolExecutor(1) as apart:  # from the event loop of the tests
        key = apart.submit(asyncio.run, _signing_key(platform.state_dir)).result()
    site = Site(platform, {}, {"anonymous": ""}, key)
    with ExitStack() as unless_it_opens:
        unless_it_opens.callback(site.close)
        site.callers["anonymous"] = site._client("")
        for name in ("user", "other", "admin"):
            site.tokens[name] = site._login(name, admin=name == "admin")
        signed_in = site.tokens["admin"]
        # Of no session: none that a test ends, and none that the token could continue.
        site.tokens["expired"] = site.signed(signed_in, exp=int(time.time()) - 3600, sid=None)
        site.tokens["nobody"] = site.signed(signed_in, sub=None, sid=None)
        site.tokens["stranger"] = site.signed(signed_in, sub="2147483647", sid=None)
        site.tokens["word"] = site.signed(signed_in, sub="alice", sid=None)
        site.tokens["forged"] = _forged(site.tokens["admin"])
        site.callers.update({name: site._client(site.tokens[name]) for name in CALLERS[1:]})
        answer = site.admin.post("/api/catalog/import", json=DOCUMENT)
        assert answer.status_code == 200, answer.text
        unless_it_opens.pop_all()
    return site


def recording(name: str = "script_7001.wav") -> dict[str, Any]:
    """What the web client sends as the form of an upload."""
    return {"file": (name, RECORDING.read_bytes(), "audio/wav")}


async def _signing_key(state_dir: Path) -> OKPKey:
    postgres = PrivatePostgres(state_dir / "postgres")
    assert postgres.find()
    database = Database(postgres.url("yousync_auth"), source="auth", pool_size=1)
    try:
        secret = SecretStr(kept_secret(state_dir / "secrets" / "auth-key-secret"))
        return await SigningKeys(database, secret=secret, token_seconds=900).current()
    finally:
        await database.close()


def _forged(token: str) -> str:
    """The token, signed with a key of somebody who names the platform's."""
    claims = jwt_header(token.split(".", 1)[1])
    return _encoded(claims, OKPKey.generate_key(ALGORITHM), jwt_header(token)["kid"])


def _encoded(claims: dict[str, Any], key: OKPKey, kid: str) -> str:
    return jwt.encode({"alg": ALGORITHM, "kid": kid}, claims, key, algorithms=[ALGORITHM])

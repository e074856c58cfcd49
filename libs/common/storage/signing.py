"""Links to one object each, for stores that have no signed URLs of their own."""

import hashlib
import hmac
import math
import re
import time
from datetime import timedelta
from urllib.parse import quote, urlencode

from libs.common.errors import Kind, YouSyncError

MIN_KEY_BYTES = 16
_EXPIRES = re.compile(r"[0-9]{1,12}", re.ASCII)


class BadSignature(YouSyncError):
    """The link was not made by us, or for another object, or was changed."""

    kind = Kind.FORBIDDEN
    code = "bad_signature"


class LinkExpired(YouSyncError):
    """The link was valid until a moment that has passed."""

    kind = Kind.FORBIDDEN
    code = "link_expired"


class UrlSigner:
    """Makes and checks `{public_url}/objects/{key}?expires=<unix seconds>&signature=<hex HMAC-SHA256>`.

    The signature covers the purpose, the method, the key and the expiry, so a key that signs other things too can never
    vouch for an object. A link is for GET; HEAD shows less and is served by the same link.
    """

    def __init__(self, signing_key: bytes, public_url: str) -> None:
        if len(signing_key) < MIN_KEY_BYTES:
            raise ValueError(f"the storage signing key must have at least {MIN_KEY_BYTES} bytes")
        self._signing_key = signing_key
        self._base = public_url.rstrip("/")

    def url(self, key: str, *, expires_in: timedelta) -> str:
        """The link, valid for `expires_in` from now (rounded up to the second)."""
        expires = str(math.ceil(time.time() + expires_in.total_seconds()))
        query = urlencode({"expires": expires, "signature": self.signature(key, expires)})
        return f"{self._base}/objects/{quote(key)}?{query}"

    def signature(self, key: str, expires: str) -> str:
        """64 hex digits for this key and expiry."""
        message = f"yousync object\nGET\n{key}\n{expires}".encode()
        return hmac.new(self._signing_key, message, hashlib.sha256).hexdigest()

    def verify(self, key: str, *, expires: str, signature: str) -> int:
        """Seconds for which the link stays valid; raises `BadSignature` or `LinkExpired`."""
        if _EXPIRES.fullmatch(expires) is None or not hmac.compare_digest(
            self.signature(key, expires).encode(), signature.encode()
        ):
            raise BadSignature("This link is not valid. Ask for a new one.")
        left = int(expires) - time.time()
        if left <= 0:
            raise LinkExpired("This link has expired. Ask for a new one.")
        return int(left)

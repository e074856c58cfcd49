"""What browsers are told about every answer, so that a page cannot be made to do with it what it is not for."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# An answer is data: nothing in it is run, loaded or shown within another page.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Files are what users sent. They are played by pages of other sites, and nothing in them is a page.
FILE_POLICY = f"{DATA_POLICY}; sandbox"
FILES = "/objects/"
YEAR = 365 * 24 * 3600
# Of pages of our own, which nobody opens from a window that may look into it.
PAGE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class BrowserHeaders:
    """ASGI middleware around everything. What an answer says itself stays."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add headers to the answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        is_file = scope["path"].startswith(FILES)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._guard(MutableHeaders(scope=message), message["status"], is_file=is_file)
            await send(message)

        return await self._app(scope, receive, guarded)

    def _guard(self, headers: MutableHeaders, status: int, *, is_file: bool) -> None:
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("Content-Security-Policy", FILE_POLICY if is_file else DATA_POLICY)
        headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if is_file else "same-origin")
        if self._https:
            headers.setdefault("Strict-Transport-Security", f"max-age={YEAR}")
        # Who may keep an answer says so, or gives it a tag to ask by; a 304 speaks of an answer that was kept already.
        if "etag" not in headers and status != 304:
            headers.setdefault("Cache-Control", "no-store")
        if "origin" not in headers.get("vary", "").lower():
            headers.add_vary_header("Origin")  # also of answers to nobody's page: a cache may have others to give them to

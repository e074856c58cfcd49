"""Which origins may call: exactly those that are named, as browsers write them (RFC 6454, section 6.2)."""

from urllib.parse import urlsplit

_USUAL_PORT = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """`url` as the origin that a browser would send for it. Raises ValueError with what is wrong."""
    if "*" in url:
        raise ValueError("name the origins: with credentials allowed, * would let every page act as its visitor")
    parts = urlsplit(url)
    if parts.scheme not in _USUAL_PORT or not parts.hostname:
        raise ValueError(f"not an origin like https://example.org: {url!r}")
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"an origin has no path, query or user: {url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _USUAL_PORT[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"

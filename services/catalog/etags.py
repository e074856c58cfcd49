"""Entity tags (RFC 9110, 8.8.3) of scenes and lines, and what the two headers that carry them ask.

`"v12"` is the twelfth version of a thing; `"v12-5f3a.."` the same, shown together with something that has no version, such as
a scene with its views. Only the version says whether an edit began from what is there now: a view must not refuse an edit.
"""

import re
from hashlib import blake2b

_TAG = re.compile(r'(?<![^\s,])(W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')
_VERSION = re.compile(r'"v(\d{1,19})(?:-[^"]*)?"', re.ASCII)
_DIGEST_BYTES = 12  # a wrong "not modified" by accident: once in 2**48 answers of the same thing


def etag(version: int, shown: bytes | None = None) -> str:
    """The strong tag of a thing in `version`; with `shown`, of that very representation of it."""
    return f'"v{version}"' if shown is None else f'"v{version}-{digest(shown)}"'


def digest(content: bytes) -> str:
    """A short name of `content`."""
    return blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def allows(if_match: str, version: int) -> bool:
    """Whether `If-Match` names what is in `version` now: `*`, or its tag among several. A weak tag names nothing here."""
    if if_match.strip() == "*":
        return True
    return any(not weak and _version(tag) == version for weak, tag in _tags(if_match))


def unmodified(if_none_match: str, tag: str) -> bool:
    """Whether `If-None-Match` names `tag`, so that the body need not be sent; weak or not (RFC 9110, 13.1.2)."""
    return if_none_match.strip() == "*" or any(theirs == tag.removeprefix("W/") for _, theirs in _tags(if_none_match))


def _tags(header: str) -> list[tuple[bool, str]]:
    return [(bool(weak), tag) for weak, tag in _TAG.findall(header)]


def _version(tag: str) -> int | None:
    found = _VERSION.fullmatch(tag)
    return int(found[1]) if found else None

"""Who may call what, as a person reads it: docs/rights.md out of `libs/common/web/rights.py`."""

from collections.abc import Mapping

from libs.common.web.rights import NOT_AN_ADMIN, RIGHTS, Need, Rights, Who

DOCUMENT = "docs/rights.md"

_HEAD = """# Who may call what

Made from `libs/common/web/rights.py` by `make contracts`; do not edit. Every service holds its endpoints to this table before
they run, and does not start with one that is not in it. The gateway leads nobody to what is for services. Why:
[decision 0024](decisions/0024-rights-and-service-tokens.md).

| for | that is | held by |
|---|---|---|
"""
_HELD_BY: Mapping[Who, str] = {
    Who.PUBLIC: "nothing",
    Who.OPTIONAL: "a valid access token says who it is; a bad one counts as none",
    Who.USER: "a valid access token, or 401",
    Who.ADMIN: "a valid access token, or 401, that says `admin`, or 403",
    Who.BEARER: "any bearer, or 401; then the use case",
    Who.PROOF: "the use case, which checks what is named below",
    Who.SERVICE: "a service token for this service, of one that is named below, or 403",
}


def document(rights: Mapping[str, Rights] = RIGHTS) -> str:
    """The whole document."""
    everywhere = set.intersection(*(set(part) for part in rights.values()))
    groups = "".join(f"| {_word(who)} | {who.value} | {held_by} |\n" for who, held_by in _HELD_BY.items())
    shared = {name: need for part in rights.values() for name, need in part.items() if name in everywhere}
    parts = [_HEAD + groups, _section("every service", shared)]
    for service, part in sorted(rights.items()):
        if own := {name: need for name, need in part.items() if name not in everywhere}:
            parts.append(_section(service, own))
    return "\n".join(parts)


def _section(title: str, rights: Rights) -> str:
    rows = "".join(f"| `{name}` | {_word(need.who)} | {_besides(need)} |\n" for name, need in rights.items())
    return f"## {title}\n\n| endpoint | for | and |\n|---|---|---|\n{rows}"


def _word(who: Who) -> str:
    return who.name.lower()


def _besides(need: Need) -> str:
    named = [need.besides, ", ".join(need.callers), "" if need.refusal == NOT_AN_ADMIN else f"else: {need.refusal}"]
    return "; ".join(filter(None, named))

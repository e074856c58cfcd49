"""What is missing, wrong or weak in the settings of a deployment. A value that is a secret is never part of what is said."""

import difflib
import importlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import get_args
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from zxcvbn import zxcvbn

from libs.common.settings import BusSettings, Settings
from libs.common.web.rights import CALLERS
from libs.common.web.service_tokens import KeyUnusable, public_key
from yousync.doctor.deployment import Deployment
from yousync.environment import SERVICES, variables

# Guesses, as a power of ten: 2^64 of them take a rich attacker years, even where nobody slows them down.
GUESSES = 19.3
# zxcvbn's time grows with the square of the length, and what is random for so long is random enough.
LOOKED_AT = 72
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# Read by the AWS client, by the images, or by everybody's tools.
FOREIGN = ("AWS_", "PG", "PATH", "HOME", "LANG", "LC_", "PYTHON", "SECRETS_DIR")


class Severity(StrEnum):
    """How bad it is. With `MISSING` and `WRONG` a service does not start, or not with all it does; `WEAK` is dangerous."""

    MISSING = "missing"
    WRONG = "wrong"
    WEAK = "weak"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One line for the operator. `where` is a service, or empty for the whole deployment."""

    severity: Severity
    where: str
    setting: str
    what: str

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{self.severity}: {where}{self.setting} {self.what}" if self.setting else f"{self.severity}: {where}{self.what}"


def examine(deployment: Deployment) -> list[Finding]:
    """Everything that is to be said, the worst first."""
    found = set(_of_files(deployment))
    for service, environment in deployment.services.items():
        found |= set(_of_service(service, environment))
    found |= set(_between(deployment.services))
    found |= set(_strangers(deployment.services))
    severities = list(Severity)
    return sorted(found, key=lambda each: (severities.index(each.severity), each.where, each.setting, each.what))


def _of_files(deployment: Deployment) -> Iterator[Finding]:
    for name, what in deployment.lacking.items():
        yield Finding(Severity.MISSING, "", name, f"is not set: {what}")
    for path in deployment.exposed:
        yield Finding(Severity.WEAK, "", path.name, f"can be read by others on this machine: chmod 600 {path.name}")
    for name in deployment.unread:
        near = difflib.get_close_matches(name, _read_by_anybody(), n=1)
        yield Finding(Severity.NOTE, "", name, "is read by nobody" + (f"; is {near[0]} meant?" if near else ""))


def _of_service(service: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    kind = _settings_of(service)
    faults, settings = _start(kind, environment)
    yield from (Finding(Severity.WRONG, service, name, what) for name, what in faults)
    secret = _secrets(kind)
    for name in secret & environment.keys():
        value = _guarded(environment[name])
        if value is not None and (how := _weakness(value)) is not None:
            yield Finding(Severity.WEAK, service, name, how)
    yield from _misspelt(service, kind, environment)
    if settings is not None:
        yield from _dangerous(service, settings, environment)


def _dangerous(service: str, settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    if settings.environment != "production":
        yield Finding(
            Severity.WEAK,
            service,
            "ENVIRONMENT",
            f"is {settings.environment}: anybody may sign in as anybody, and defaults are let through",
        )
    if settings.log_level.upper() == "DEBUG":
        yield Finding(Severity.WEAK, service, "LOG_LEVEL", "DEBUG writes more about people into logs than anybody needs")
    public = environment.get("PUBLIC_URL", "")
    if public.startswith("http://") and not _local(public):
        yield Finding(
            Severity.WEAK, service, "PUBLIC_URL", "begins with http://: tokens and recordings travel for everybody to read"
        )
    if public.startswith("https://") and service == "gateway" and not settings.forwarded_allow_ips:
        yield Finding(
            Severity.NOTE,
            service,
            "FORWARDED_ALLOW_IPS",
            "is empty: to limits and sessions all people have the proxy's address",
        )
    if isinstance(settings, BusSettings) and settings.broker_topology == "declare":
        yield Finding(
            Severity.WEAK,
            service,
            "BROKER_TOPOLOGY",
            "is declare: its user may make and delete every queue; `yousync topology apply` makes users with fewer rights",
        )
    if service == "auth" and not environment.get("AUTH_ADMIN_EMAILS"):
        yield Finding(Severity.NOTE, service, "AUTH_ADMIN_EMAILS", "is empty: only who was granted it is an administrator")


def _between(services: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """What only shows when services are looked at together."""
    holders: dict[str, set[str]] = defaultdict(set)
    for service, environment in services.items():
        for name in _secrets(_settings_of(service)) & environment.keys():
            if (value := _guarded(environment[name])) is not None:
                # The same setting of several services is one secret on purpose, and so may be the same URL.
                holders[value].add(name if "://" not in environment[name] else f"{name} of {service}")
    for names in holders.values():
        if len(names) > 1:
            yield Finding(Severity.WEAK, "", " and ".join(sorted(names)), "are the same secret: who learns one has the others")
    yield from _sharing(services)
    for name in ("ENVIRONMENT", "TOKEN_ISSUER"):
        values = {environment.get(name, "") for environment in services.values()}
        if len(values) > 1:
            yield Finding(Severity.WRONG, "", name, f"differs between services: {', '.join(sorted(map(repr, values)))}")


def _sharing(services: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    for name in ("BROKER_URL", "DATABASE_URL"):
        users: dict[str, list[str]] = defaultdict(list)
        for service, environment in services.items():
            if user := urlsplit(environment.get(name, "")).username:
                users[user].append(service)
        for sharing in users.values():
            if len(sharing) > 1:
                what = f"has the same user for {' and '.join(sorted(sharing))}: each may do what the other does"
                yield Finding(Severity.WEAK, "", name, what)


def _strangers(services: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Services whose calls those that they call would refuse."""
    for caller in CALLERS:
        with suppress(KeyError, KeyUnusable):  # which the service that has it says itself
            held = f"{caller}={public_key(services[caller]['SERVICE_PRIVATE_KEY'])}"
            for service, environment in services.items():
                known = environment.get("SERVICE_PUBLIC_KEYS")
                if known and held not in [each.strip() for each in known.split(",")]:
                    yield Finding(
                        Severity.WRONG,
                        service,
                        "SERVICE_PUBLIC_KEYS",
                        f"does not hold the key of {caller}, which it would refuse",
                    )


def _misspelt(service: str, kind: type[Settings], environment: Mapping[str, str]) -> Iterator[Finding]:
    read = _read(kind)
    for name in environment:
        mine = name.startswith(f"{service.upper()}_") and not name.endswith(("_URL", "_PORT")) and "_PORT_" not in name
        near = difflib.get_close_matches(name, read, n=1, cutoff=0.88)
        if name in read or name in _read_by_anybody() or name.startswith(FOREIGN) or not (mine or near):
            continue
        yield Finding(Severity.NOTE, service, name, "is read by nobody" + (f"; is {near[0]} meant?" if near else ""))


def _start(kind: type[Settings], environment: Mapping[str, str]) -> tuple[list[tuple[str, str]], Settings | None]:
    """What the service itself would say at its start, and its settings if it would."""
    # What this process has been given besides is not the deployment's.
    with variables(environment, only=True):
        try:
            return [], kind()
        except ValidationError as error:
            return kind.faults(error), None


def _guarded(value: str) -> str | None:
    """The secret in a value: a URL's password, or all of it. None when there is none."""
    if "://" not in value:
        return value or None
    parts = urlsplit(value)
    return parts.password if parts.username else None


@cache
def _weakness(secret: str) -> str | None:
    guesses = float(zxcvbn(secret[:LOOKED_AT])["guesses_log10"])
    return (
        None
        if guesses >= GUESSES
        else f"is easy to guess (about 10^{guesses:.0f} tries): sh deploy/make-env.sh makes better ones"
    )


def _local(url: str) -> bool:
    return urlsplit(url).netloc.rsplit(":", 1)[0] in LOOPBACK


@cache
def _settings_of(service: str) -> type[Settings]:
    module = importlib.import_module(f"services.{service}.settings")
    kinds = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Settings) and each.__module__ == module.__name__
    ]
    assert len(kinds) == 1, f"{module.__name__} has {len(kinds)} classes of settings"
    return kinds[0]


@cache
def _read(kind: type[Settings]) -> tuple[str, ...]:
    return tuple(kind.outside_name(field) for field in kind.model_fields)


@cache
def _secrets(kind: type[Settings]) -> frozenset[str]:
    """Settings that are secret, by the names under which they are set."""

    def secret(annotation: object) -> bool:
        return annotation is SecretStr or any(map(secret, get_args(annotation)))

    return frozenset(kind.outside_name(name) for name, each in kind.model_fields.items() if secret(each.annotation))


@cache
def _read_by_anybody() -> frozenset[str]:
    return frozenset(name for service in SERVICES for name in _read(_settings_of(service)))

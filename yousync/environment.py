"""From a machine's parts to each service's settings: the same variables for a process of its own and for the embedded one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from libs.common.web.rights import CALLERS
from libs.common.web.service_tokens import new_key, public_key
from yousync.local.process import kept_secret, write_private
from yousync.options import Options

SERVICES = ("auth", "catalog", "audio", "notifier", "analysis", "gateway")
OWNS_DATABASE = ("auth", "catalog", "audio", "notifier")


@dataclass(frozen=True, slots=True)
class Backing:
    """The broker, databases and object store that a platform runs on, and the variables that reach them."""

    broker_url: str | None  # None: the in-memory bus that all services of one process share
    database_urls: Mapping[str, str]  # by service, under the role that it runs as
    storage_url: str
    storage_environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    broker_urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # by user; without, all have the one
    owner_urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # as `database_urls`, for migrations


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens: the variables for itself, and the URL for the others."""

    listen: Mapping[str, str]
    url: str

    @classmethod
    def socket(cls, path: Path) -> "Address":
        """On a Unix socket, which only this user's programs reach."""
        return cls({"LISTEN_UDS": str(path)}, f"unix:{path}")

    @classmethod
    def tcp(cls, host: str, port: int) -> "Address":
        """On a port."""
        return cls({"LISTEN_HOST": host, "LISTEN_PORT": str(port)}, f"http://{host}:{port}")


def service_environment(service: str, options: Options, backing: Backing, addresses: Mapping[str, Address]) -> dict[str, str]:
    """All variables that `service` reads. Secrets are made on first use and kept in the state folder."""
    secrets = options.state_dir / "secrets"
    secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {
        **{f"{name.upper()}_URL": address.url for name, address in addresses.items()},
        **addresses[service].listen,
        **backing.storage_environment,
        "ENVIRONMENT": options.environment,
        "LOG_LEVEL": options.log_level,
        "PUBLIC_URL": options.base_url,
        "STORAGE_URL": backing.storage_url,
        "SHUTDOWN_SECONDS": "2",
        "SERVICE_PUBLIC_KEYS": ",".join(f"{name}={public_key(_service_key(secrets, name))}" for name in CALLERS),
        "STORAGE_SIGNING_KEY": kept_secret(secrets / "storage-signing-key"),
    }
    if backing.broker_url is not None:
        environment["BROKER_URL"] = backing.broker_urls.get(service, backing.broker_url)
        environment["BROKER_TOPOLOGY"] = "applied" if backing.broker_urls else "declare"
        if service == "analysis" and backing.broker_urls:
            environment["PREPROCESSOR_BROKER_URL"] = backing.broker_urls["preprocessor"]
    elif service == "audio":
        # In one process the analysis server dies with everybody else: what it worked on may be taken up sooner again.
        environment["AUDIO_LEASE_SECONDS"] = "6"
    elif service == "analysis":
        environment["SHUTDOWN_SECONDS"] = "0.5"  # and when it finished something meanwhile, nobody would be left to hear of it
    if service in backing.database_urls:
        environment["DATABASE_URL"] = backing.database_urls[service]
    if service == "gateway" and options.environment != "production":
        # All who call a laptop do so from one address: people, tests, benchmarks with 200 learners.
        environment["GATEWAY_LIMITS_FACTOR"] = os.environ.get("GATEWAY_LIMITS_FACTOR", "1000")
    if service in CALLERS:
        environment["SERVICE_PRIVATE_KEY"] = _service_key(secrets, service)
    if service == "auth":
        environment["AUTH_KEY_SECRET"] = kept_secret(secrets / "auth-key-secret")
        if options.environment != "production":
            environment["AUTH_DEVELOPMENT_LOGIN"] = "true"
    return environment


def _service_key(secrets: Path, service: str) -> str:
    """What `service` signs with when it calls others, made on first use."""
    path = secrets / f"service-key-{service}"
    if not path.exists():
        write_private(path, new_key())
    return path.read_text()


@contextmanager
def variables(values: Mapping[str, str], *, only: bool = False) -> Iterator[None]:
    """Within this block the process' environment has `values`, and nothing else if `only`.

    What the user set for a service by hand wins over neither.
    """
    before = dict(os.environ)
    if only:
        os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

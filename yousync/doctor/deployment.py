"""Where the settings of a deployment stand: a Compose file with its .env, or the environment of one process."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from yousync.environment import SERVICES

# ${NAME}, ${NAME-default}, ${NAME:-default}, ${NAME:?message}, and $$ for a dollar
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::?(?P<kind>[-?])(?P<text>[^}]*))?\})")


class DeploymentUnreadable(Exception):
    """The settings cannot be looked at, and why."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What each service would be started with. `unread` are variables that somebody set and nothing passes on."""

    services: Mapping[str, Mapping[str, str]]
    lacking: Mapping[str, str] = field(default_factory=dict)  # variables that must be given and are not: what to do
    given: Mapping[str, str] = field(default_factory=dict)  # as set by the operator, by the names they know
    unread: frozenset[str] = frozenset()
    exposed: tuple[Path, ...] = ()  # files with secrets that others on the machine may read


def of_compose(compose: Path, env_file: Path) -> Deployment:
    """The services of a Compose file; what its `.env` sets counts less than the process' own environment, as with Compose.

    Raises `DeploymentUnreadable`.
    """
    try:
        document = yaml.safe_load(compose.read_text())
        containers: Mapping[str, Any] = document["services"]
        written = {name: value or "" for name, value in dotenv_values(env_file, interpolate=False).items()}
    except FileNotFoundError as error:
        raise DeploymentUnreadable(f"there is no {error.filename}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DeploymentUnreadable(f"{compose} or {env_file} cannot be read: {error}") from error
    if not env_file.exists():
        raise DeploymentUnreadable(f"there is no {env_file}: run deploy/make-env.sh")
    text = compose.read_text()
    used = {match["name"] for match in VARIABLE.finditer(text) if match["name"]}
    given = {**written, **{name: value for name, value in os.environ.items() if name in used}}
    lacking = {
        match["name"]: match["text"]
        for match in VARIABLE.finditer(text)
        if match["kind"] == "?" and not given.get(match["name"])
    }
    services = {}
    for name in SERVICES:
        environment = {key: str(value) for key, value in containers.get(name, {}).get("environment", {}).items()}
        # One that lacks something would only be said to lack it a second time, by another name.
        if (
            environment
            and not {match["name"] for value in environment.values() for match in VARIABLE.finditer(value)} & lacking.keys()
        ):
            services[name] = {key: interpolated(value, given) for key, value in environment.items()}
    unread = frozenset(name for name in written if name not in used and not name.startswith("COMPOSE_"))
    exposed = (env_file,) if env_file.stat().st_mode & 0o077 else ()
    return Deployment(services, lacking, given, unread, exposed)


def of_environment(service: str) -> Deployment:
    """One service as it would start in this process' environment."""
    return Deployment({service: dict(os.environ)})


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables as Compose fills them in; a required one that is missing or empty is a KeyError."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        given = variables.get(match["name"], "")
        if given or match["kind"] is None:
            return given
        if match["kind"] == "?":
            raise KeyError(match["name"])
        return str(match["text"])

    return VARIABLE.sub(value, text)

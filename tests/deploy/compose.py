"""docker-compose.yml as an engine reads it: merged, with its variables in place."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/__main__.py"))
WITH_DATABASE = sorted(path.parents[1].name for path in ROOT.glob("services/*/migrations/env.py"))


def read_yaml(name: str) -> dict[str, Any]:
    """A YAML file of the project."""
    document: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return document


COMPOSE = read_yaml("docker-compose.yml")
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def is_built(container: Mapping[str, Any]) -> bool:
    """Whether the image is ours, of deploy/Dockerfile."""
    return "build" in container


def is_job(container: Mapping[str, Any]) -> bool:
    """Whether it is meant to end."""
    return bool(container["restart"] == "no")


def make_env(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/make-env.sh for a project that consists of nothing else."""
    (folder / "deploy").mkdir(exist_ok=True)
    for name in (".env.example", "deploy/make-env.sh", "deploy/service-keys.sh"):
        shutil.copy(ROOT / name, folder / name)
    command = ["sh", str(folder / "deploy/make-env.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env={**os.environ, **environment})


def env_file(path: Path) -> dict[str, str]:
    """The variables of an .env file."""
    lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)

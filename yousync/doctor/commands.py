"""`yousync doctor`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from yousync.doctor import DeploymentUnreadable, Severity, examine, of_compose, of_environment
from yousync.environment import SERVICES
from yousync.terminal import complain


def doctor(
    compose: Annotated[Path, typer.Option(help="The Compose file of the deployment")] = Path("docker-compose.yml"),
    env_file: Annotated[Path, typer.Option(help="What is set for it")] = Path(".env"),
    service: Annotated[
        str | None, typer.Option(help="Look at what this process' environment (and SECRETS_DIR) says to one service instead")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
) -> None:
    """Look at a deployment's settings: what is missing, wrong or weak (exit 1: something is; exit 2: could not look).

    Opens no connection, and shows no secret.
    """
    if service is not None and service not in SERVICES:
        complain(f"there is no service {service!r}: {', '.join(SERVICES)}")
        raise typer.Exit(2)
    try:
        deployment = of_compose(compose, env_file) if service is None else of_environment(service)
    except DeploymentUnreadable as error:
        complain(str(error))
        raise typer.Exit(2) from error
    found = examine(deployment)
    if as_json:
        fields = ("severity", "where", "setting", "what")
        typer.echo(json.dumps([{name: getattr(each, name) for name in fields} for each in found], indent=2, ensure_ascii=False))
    else:
        for each in found:
            typer.echo(str(each))
        if not found:
            typer.echo("nothing is missing, wrong or weak")
    raise typer.Exit(1 if any(each.severity is not Severity.NOTE for each in found) else 0)

"""What the commands share: where they write, their options, and how an error ends them."""

from collections.abc import Coroutine
from typing import Any

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console

from libs.common.telemetry import configure_logging
from yousync.client import ClientError
from yousync.local.process import LocalServerError
from yousync.options import Options

console = Console(soft_wrap=True)
errors = Console(stderr=True, soft_wrap=True)


def complain(text: str) -> None:
    """A line for the person at the terminal."""
    errors.print(text, style="red", markup=False, highlight=False)


def options() -> Options:
    """The options from the environment; ends the command when they are wrong."""
    try:
        return Options()
    except ValidationError as error:
        for problem in error.errors():
            complain(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
        raise typer.Exit(2) from error


def run(what: Coroutine[Any, Any, None]) -> None:
    """Run a command to its end; what it could not do is said in a line, and the exit code is 1."""
    configure_logging("yousync", level=options().log_level)
    try:
        uvloop.run(what)
    except (ClientError, LocalServerError) as error:
        complain(str(error))
        raise typer.Exit(1) from error

"""A story as a tree on a terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from yousync.trace.story import Node, Story


def show(story: Story, console: Console) -> None:
    """Print the story: what happened with the seconds since the job began, what did not answer, and the verdict."""
    console.print(Text(story.headline, style="bold"))
    if story.began:
        console.print(Text(f"began at {story.began:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC; in seconds since then:", style="dim"))
        for line in _tree(story.nodes, story.began, ""):
            console.print(line)
    for silent in story.silent:
        console.print(Text(silent, style="yellow"))
    console.print(Text(story.verdict, style="bold red" if story.stuck else "bold green"))


def _tree(nodes: Sequence[Node], began: datetime, indent: str) -> Iterator[Text]:
    """One line each, however long: whoever reads it through a pipe looks for lines."""
    for node in nodes:
        last = node is nodes[-1]
        at = f"{(node.at - began).total_seconds():+.3f} " if node.at else ""
        yield Text.assemble((f"{indent}{'└─ ' if last else '├─ '}{at}", "dim"), (node.text, "red" if node.trouble else ""))
        yield from _tree(node.children, began, f"{indent}{'   ' if last else '│  '}")

"""A story as a tree on a terminal."""

from datetime import datetime

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from yousync.trace.story import Node, Story


def show(story: Story, console: Console) -> None:
    """Print the story: what happened with the seconds since the job began, what did not answer, and the verdict."""
    began = f"{story.began:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC" if story.began else ""
    tree = Tree(Text(story.headline, style="bold"))
    for node in story.nodes:
        _grow(tree, node, story.began)
    if story.began:
        tree.children.insert(0, Tree(Text(f"{began}; the times below are seconds since then", style="dim")))
    console.print(tree)
    for silent in story.silent:
        console.print(Text(silent, style="yellow"))
    console.print(Text(story.verdict, style="bold red" if story.stuck else "bold green"))


def _grow(tree: Tree, node: Node, began: datetime | None) -> None:
    at = f"{(node.at - began).total_seconds():+.3f} " if node.at and began else ""
    branch = tree.add(Text(f"{at}{node.text}", style="red" if node.trouble else ""))
    for child in node.children:
        _grow(branch, child, began)

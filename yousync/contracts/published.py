"""What was published: the newest schemas in the history of `docs/schemas` that broke none before them.

The schemas in the working tree alone prove nothing: whoever changes a contract writes them anew in the same commit. So every
version that was ever committed is asked, oldest first. One that breaks what was published before it does not count, and
a later commit that takes the change back is right again.
"""

import json
import subprocess
from functools import cache
from pathlib import Path

from yousync.contracts.compatibility import breaks
from yousync.contracts.schemas import Schema

FOLDER = "docs/schemas"


def read(folder: Path) -> dict[str, Schema]:
    """The schemas in `folder`, by message."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def published(root: Path) -> tuple[dict[str, Schema], int]:
    """The published schemas of the repository at `root`, and how many committed versions they were taken from.

    Without a history (an unpacked archive) that is what lies in the folder. A shallow clone knows only its own part.
    """
    versions = _committed_versions(root) or [read(root / FOLDER)]
    accepted: dict[str, Schema] = {}
    for version in versions:
        broken = {each.message for each in breaks(accepted, version)}
        accepted |= {name: schema for name, schema in version.items() if name not in broken}
    return accepted, len(versions)


def _committed_versions(root: Path) -> list[dict[str, Schema]]:
    """The schemas as of each commit that changed them, oldest first; of what was merged, only the merge."""
    if _git(root, "rev-parse", "--show-prefix").strip():
        return []  # somebody else's repository, in which this tree only lies
    commits = _git(root, "log", "--first-parent", "--reverse", "--format=%H", "--", FOLDER).split()
    return [_version(root, commit) for commit in commits]


def _version(root: Path, commit: str) -> dict[str, Schema]:
    entries = [line.split(maxsplit=3) for line in _git(root, "ls-tree", commit, f"{FOLDER}/").splitlines()]
    return {Path(name).stem: json.loads(_blob(root, blob)) for _, _, blob, name in entries if name.endswith(".json")}


@cache  # most commits change one or two of the files
def _blob(root: Path, blob: str) -> str:
    return _git(root, "cat-file", "blob", blob)


def _git(root: Path, *arguments: str) -> str:
    """What git says; nothing when there is no git, or no repository."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""

"""`python -m yousync.contracts` writes the documents, `.. check` says what is wrong with those that are committed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from yousync.contracts import rights
from yousync.contracts.asyncapi import as_yaml, document
from yousync.contracts.compatibility import Break, breaks
from yousync.contracts.published import FOLDER, published
from yousync.contracts.schemas import Schema, schemas
from yousync.topology import definitions

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = "docs/asyncapi.yaml"
ADVICE = "A published message only gets fields that may be missing. What breaks it is a new event: docs/adding-an-event.md."


def files(current: dict[str, Schema]) -> dict[str, str]:
    """Every generated file, by its path in the repository."""
    of_schemas = {f"{FOLDER}/{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) for name, schema in current.items()}
    return {
        DOCUMENT: as_yaml(document()),
        rights.DOCUMENT: rights.document(),
        **definitions.files(),
        **{path: f"{text}\n" for path, text in of_schemas.items()},
    }


def stale(root: Path, wanted: dict[str, str]) -> list[str]:
    """Paths that are missing, outdated, or of a message that is gone."""
    there = {str(file.relative_to(root)) for file in (root / FOLDER).glob("*.json")}
    outdated = {path for path, text in wanted.items() if not (root / path).exists() or (root / path).read_text() != text}
    return sorted(outdated | (there - wanted.keys()))


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """The exit status: 0 when the documents are right, or were written."""
    current = schemas()
    wanted = files(current)
    before, versions = published(root)
    if found := breaks(before, current):
        return _refuse(found)
    outdated = stale(root, wanted)
    if "check" in arguments:
        if outdated:
            print("run `make contracts` and commit what it writes: " + ", ".join(outdated), file=sys.stderr)
            return 1
        print(f"contracts: {len(current)} messages, compatible with {versions} committed versions")
        return 0
    for path in outdated:
        if path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(wanted[path])
        else:
            (root / path).unlink()
        print(f"contracts: {path}")
    return 0


def _refuse(found: list[Break]) -> int:
    print("this breaks what is published:", *(f"  {each}" for each in found), ADVICE, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

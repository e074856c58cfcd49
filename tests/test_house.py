"""What must be true of every room. A failure names the room and the place that lacks it."""

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

from yousync.environment import OWNS_DATABASE, SERVICES

ROOT = Path(__file__).resolve().parent.parent
ROOMS = sorted(folder.name for folder in (ROOT / "services").iterdir() if (folder / "main.py").exists())
README_LINES = 40


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_platform_starts_every_room() -> None:
    assert sorted(SERVICES) == ROOMS


def test_every_room_with_migrations_gets_a_database() -> None:
    assert sorted(OWNS_DATABASE) == [room for room in ROOMS if (ROOT / "services" / room / "migrations").exists()]


def test_the_makefile_locks_every_room() -> None:
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("SERVICES :="))
    assert sorted(line.removeprefix("SERVICES :=").split()) == ROOMS


def test_the_import_rules_know_every_room() -> None:
    independence = next(rule for rule in project()["tool"]["importlinter"]["contracts"] if rule["type"] == "independence")
    assert sorted(independence["modules"]) == [f"services.{room}" for room in ROOMS]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_its_readme_extra_lock_and_tests(room: str) -> None:
    readme = (ROOT / "services" / room / "README.md").read_text().splitlines()
    assert len(readme) <= README_LINES, f"services/{room}/README.md has {len(readme)} lines"
    extras = project()["project"]["optional-dependencies"]
    assert room in extras, f"pyproject.toml has no extra {room}"
    assert room in "".join(extras["local"]), f"the extra local lacks {room}"
    assert (ROOT / "requirements" / f"{room}.txt").exists(), f"make lock does not compile requirements/{room}.txt"
    assert any((ROOT / "tests" / "services" / room).rglob("test_*.py")), f"services/{room} has no tests"


@pytest.mark.parametrize("room", ROOMS)
def test_what_endpoints_depend_on_is_no_plain_function(room: str) -> None:
    """The framework calls such a one in a thread and waits for it: that costs more than to look something up."""
    plain = []
    for file in [*(ROOT / "services" / room).rglob("*.py"), *(ROOT / "libs" / "common" / "web").rglob("*.py")]:
        tree = ast.parse(file.read_text())
        needed = {
            call.args[0].id
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("Depends", "Security") and call.args
            if isinstance(call.args[0], ast.Name)
        }
        plain += [
            f"{file.name}: {each.name}" for each in tree.body if isinstance(each, ast.FunctionDef) and each.name in needed
        ]
    assert plain == []


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda lock: lock.name)
def test_a_lock_has_a_hash_for_everything_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    requirements = text.replace("\\\n", " ").splitlines()
    assert requirements
    for requirement in requirements:
        assert "==" in requirement, requirement
        assert "--hash=sha256:" in requirement, requirement
    assert "://" not in text


DOCUMENTS = sorted(
    {
        *ROOT.glob("*.md"),
        *(
            file
            for room in ("docs", "libs", "services", "yousync", "deploy", "samples", "bench")
            for file in (ROOT / room).rglob("*.md")
        ),
    }
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    for target in document.read_text().split("](")[1:]:
        address = target.split(")")[0].split("#")[0]
        if address and "://" not in address:
            assert (document.parent / address).exists(), f"{document.relative_to(ROOT)} links to {address}"

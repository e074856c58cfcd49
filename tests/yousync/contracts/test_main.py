"""`make contracts` and its check, over repositories with a history."""

import subprocess
from copy import deepcopy
from pathlib import Path

import pytest

from yousync.contracts import __main__ as contracts
from yousync.contracts.schemas import Schema, schemas

NOW = schemas()
EVENT = "analysis.failed"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which the contracts as they are were published."""
    git(tmp_path, "init", "--quiet")
    assert contracts.main([], tmp_path) == 0
    commit(tmp_path)
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
    subprocess.run(["git", "-C", str(root), *who, *arguments], check=True)


def commit(root: Path) -> None:
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "contracts")


def become(monkeypatch: pytest.MonkeyPatch, changed: dict[str, Schema]) -> None:
    """From now on the code says this."""
    monkeypatch.setattr(contracts, "schemas", lambda: deepcopy(changed))


def without(field: str) -> dict[str, Schema]:
    changed = deepcopy(NOW)
    del changed[EVENT]["properties"][field]
    changed[EVENT]["required"].remove(field)
    return changed


def with_optional(field: str) -> dict[str, Schema]:
    changed = deepcopy(NOW)
    changed[EVENT]["properties"][field] = {"type": "string", "default": ""}
    return changed


def write_by_hand(root: Path, changed: dict[str, Schema]) -> None:
    for path, text in contracts.files(changed).items():
        (root / path).write_text(text)


def test_what_is_committed_is_right(root: Path) -> None:
    assert contracts.main(["check"], root) == 0


def test_the_check_says_what_to_run_when_a_document_is_stale(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    become(monkeypatch, with_optional("hint"))
    assert contracts.main(["check"], root) == 1
    assert capsys.readouterr().err == f"run `make contracts` and commit what it writes: docs/schemas/{EVENT}.json\n"
    assert contracts.main([], root) == 0
    assert contracts.main(["check"], root) == 0


def test_a_breaking_change_is_neither_written_nor_passed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (root / f"docs/schemas/{EVENT}.json").read_text()
    become(monkeypatch, without("reason"))
    for arguments in ([], ["check"]):
        assert contracts.main(arguments, root) == 1
        assert f"{EVENT}: field reason is gone, or has another name; {EVENT} is read by notifier" in capsys.readouterr().err
    assert (root / f"docs/schemas/{EVENT}.json").read_text() == before


def test_a_breaking_change_does_not_pass_by_committing_its_documents_with_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    become(monkeypatch, without("reason"))
    write_by_hand(root, without("reason"))
    commit(root)
    assert contracts.main(["check"], root) == 1
    assert "field reason is gone" in capsys.readouterr().err


def test_taking_a_breaking_change_back_is_right_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_by_hand(root, without("reason"))
    commit(root)
    write_by_hand(root, NOW)
    commit(root)
    assert contracts.main(["check"], root) == 0


def test_a_field_is_published_with_the_commit_that_adds_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_by_hand(root, with_optional("hint"))
    commit(root)
    assert contracts.main(["check"], root) == 1
    assert f"{EVENT}: field hint is gone" in capsys.readouterr().err


def test_a_renamed_event_is_one_that_is_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = {f"{name}.v2" if name == EVENT else name: schema for name, schema in NOW.items()}
    become(monkeypatch, renamed)
    (root / f"docs/schemas/{EVENT}.json").unlink()
    commit(root)
    assert contracts.main(["check"], root) == 1
    assert f"{EVENT} is gone, or has another name" in capsys.readouterr().err


def test_without_a_history_the_folder_is_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = contracts.main([], tmp_path)
    assert write == 0
    become(monkeypatch, without("reason"))
    assert contracts.main(["check"], tmp_path) == 1
    assert "field reason is gone" in capsys.readouterr().err

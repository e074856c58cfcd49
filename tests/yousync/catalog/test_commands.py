"""The commands as far as they need no platform; with one they are in tests/e2e/test_catalog.py."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.yousync.catalog.test_textgrid import LINES, WORDS, a_grid
from yousync.cli import app

SCENE = ("--film", "https://youtu.be/x", "--actor", "Sarah", "--name", "Act 3")


@pytest.fixture
def nobody(unused_tcp_port: int) -> tuple[str, ...]:
    """Where no platform answers."""
    return ("--url", f"http://127.0.0.1:{unused_tcp_port}", "--bearer", "x")


def test_a_dry_run_prints_the_document(tmp_path: Path) -> None:
    file, pitch = tmp_path / "act3.TextGrid", tmp_path / "pitch.json"
    file.write_bytes(a_grid(tmp_path, {"words": WORDS, "lines": LINES}))
    pitch.write_text('[{"time": 0.5, "hz": null}]')
    done = CliRunner().invoke(app, ["catalog", "scene", str(file), *SCENE, "--pitch", str(pitch), "--at", "10", "--dry-run"])
    document = json.loads(done.stdout)
    [scene] = document["scenes"]
    assert (scene["token_name"], scene["actor_name"], scene["start_time"], len(scene["scripts"])) == ("Act 3", "Sarah", 10.0, 2)
    assert document["pitch"] == {scene["s3_pitch_url"]: [{"time": 10.5, "hz": None}]}
    assert "category" not in scene


def test_a_file_that_cannot_be_read_is_named_with_its_tier(tmp_path: Path) -> None:
    file = tmp_path / "act3.TextGrid"
    file.write_bytes(a_grid(tmp_path, {"lines": LINES}))
    done = CliRunner().invoke(app, ["catalog", "scene", str(file), *SCENE])
    assert done.exit_code == 2
    assert done.stderr == f"{file}: there is no interval tier 'words'; those that there are: 'lines'\n"


def test_an_export_that_fails_leaves_no_file(tmp_path: Path, nobody: tuple[str, ...]) -> None:
    kept = tmp_path / "catalog.json"
    kept.write_text("{}")
    done = CliRunner().invoke(app, ["catalog", "export", str(kept), *nobody])
    assert done.exit_code == 1
    assert "GET /api/catalog/export" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["catalog.json"]
    assert kept.read_text() == "{}"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, nobody: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["catalog", "export", str(tmp_path / "none" / "catalog.json"), *nobody])
    assert done.exit_code == 1
    assert "No such file or directory" in done.stderr

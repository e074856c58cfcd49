import json
import sys
from pathlib import Path

import pytest

from services.analysis.scoring.__main__ import main
from tests.services.analysis.conftest import SAMPLES


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["scoring", *arguments, "--catalog", str(SAMPLES / "catalog.json")])
    return main()


def test_a_take_is_shown_word_by_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, str(SAMPLES / "takes" / "script-9.flac"), "--script", "9") == 0
    printed = capsys.readouterr().out
    assert "whatever" in printed
    assert "overall" in printed


def test_the_whole_result_can_be_had_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, str(SAMPLES / "takes" / "silence.flac"), "--script", "9", "--json") == 0
    assert json.loads(capsys.readouterr().out)["overall_score"] == 0.0


def test_a_file_that_is_no_recording_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.wav").write_bytes(b"no recording")
    assert run(monkeypatch, str(tmp_path / "x.wav"), "--script", "9") == 1
    assert run(monkeypatch, str(tmp_path / "missing.wav"), "--script", "9") == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_line_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, str(SAMPLES / "takes" / "silence.flac"), "--script", "99")
    assert "has no line 99" in capsys.readouterr().err

"""deploy/bootstrap.sh in small checkouts whose locks name no package, so that nothing is fetched."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "bootstrap.sh"


def make_checkout(root: Path) -> Path:
    for folder in ("deploy", "requirements", "yousync"):
        (root / folder).mkdir(parents=True)
    shutil.copy(SCRIPT, root / "deploy")
    for lock in ("local", "dev"):
        (root / "requirements" / f"{lock}.txt").write_text(f"# {lock}: no packages\n")
    (root / "yousync" / "cli.py").write_text("import sys\n\ndef app() -> None:\n    print(sys.argv[1:])\n")
    return root


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without .venv."""
    return make_checkout(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose .venv was made from the local lock."""
    root = make_checkout(tmp_path_factory.mktemp("ready") / "a checkout")
    assert made(bootstrap(root))
    return root


def bootstrap(root: Path, lock: str = "local", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it with an environment that holds nothing but what is given, by default this Python."""
    environment = {"PATH": os.defpath, "PYTHON": sys.executable} | variables
    return subprocess.run(
        ["/bin/sh", str(root / "deploy" / "bootstrap.sh"), lock], env=environment, capture_output=True, text=True
    )


def made(result: subprocess.CompletedProcess[str]) -> bool:
    """True when it made something, False when there was nothing to do."""
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("\n") == (1 if result.stdout else 0)
    return result.stdout.startswith("Making .venv")


def python_that(tmp_path: Path, script: str) -> str:
    """An interpreter that does as the shell script says and otherwise as the real one."""
    path = tmp_path / "python3"
    path.write_text(f'#!/bin/sh\n{script}\nexec "{sys.executable}" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_second_run_does_nothing_and_a_changed_lock_installs_over_what_is_there(ready: Path) -> None:
    assert not made(bootstrap(ready))
    kept = ready / ".venv" / "kept"
    kept.touch()
    (ready / "requirements" / "local.txt").write_text("# changed\n")
    assert made(bootstrap(ready))
    assert not made(bootstrap(ready))
    assert kept.exists()


def test_the_project_can_be_imported_and_its_command_runs_from_anywhere(ready: Path, tmp_path: Path) -> None:
    command = ready / ".venv" / "bin" / "yousync"
    done = subprocess.run([command, "token", "--email", "a b"], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.stdout == "['token', '--email', 'a b']\n"


def test_the_development_lock_serves_the_local_one_while_it_is_current(checkout: Path) -> None:
    assert made(bootstrap(checkout, "dev"))
    assert not made(bootstrap(checkout, "local"))
    (checkout / "requirements" / "dev.txt").write_text("# changed\n")
    assert made(bootstrap(checkout, "local"))
    assert made(bootstrap(checkout, "dev"))


def test_an_interrupted_environment_is_made_anew_and_so_is_a_moved_one(checkout: Path) -> None:
    remains = checkout / ".venv" / "bin" / "python"
    remains.parent.mkdir(parents=True)
    remains.write_text("half a file")
    remains.chmod(0o755)
    assert made(bootstrap(checkout))
    moved = checkout.rename(checkout.with_name("moved"))
    (moved / ".venv" / "old").touch()
    assert made(bootstrap(moved))
    assert not (moved / ".venv" / "old").exists()


def test_two_runs_at_once_make_one_environment(checkout: Path) -> None:
    command = ["/bin/sh", str(checkout / "deploy" / "bootstrap.sh"), "local"]
    environment = {"PATH": os.defpath, "PYTHON": sys.executable}
    runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(output.startswith("Making .venv") for output in outputs) == [False, True]


def test_an_install_that_fails_shows_why_and_is_not_taken_for_done(checkout: Path) -> None:
    (checkout / "requirements" / "local.txt").write_text("./absent.whl\n")
    result = bootstrap(checkout)
    assert result.returncode == 1
    assert "absent.whl" in result.stderr
    assert "bootstrap: could not finish" in result.stderr
    assert not list((checkout / ".venv").glob("*.stamp"))


def test_an_old_python_is_passed_over_for_a_newer_one(checkout: Path, tmp_path: Path) -> None:
    old = python_that(tmp_path, 'case "$*" in *version_info*) exit 1 ;; esac')
    (tmp_path / "python3.12").symlink_to(sys.executable)
    assert made(bootstrap(checkout, PYTHON="", PATH=f"{Path(old).parent}:{os.defpath}"))


def test_without_a_python_that_is_new_enough_the_versions_are_named(checkout: Path, tmp_path: Path) -> None:
    old = python_that(tmp_path, 'case "$*" in *version_info*) exit 1 ;; esac')
    assert "is not Python 3.11 or newer" in bootstrap(checkout, PYTHON=old).stderr
    for name in ("python3.11", "python3.12", "python3.13"):
        shutil.copy(old, tmp_path / name)
    result = bootstrap(checkout, PYTHON="", PATH=f"{tmp_path}:{os.defpath}")
    assert result.returncode == 1
    assert result.stderr.startswith("bootstrap: Python 3.11 or newer is needed")


def test_without_ensurepip_the_pip_of_the_interpreter_installs(checkout: Path, tmp_path: Path) -> None:
    python = python_that(tmp_path, 'case "$*" in *ensurepip*) exit 1 ;; esac')
    assert made(bootstrap(checkout, PYTHON=python))
    assert (checkout / ".venv" / "bin" / "yousync").exists()


def test_without_ensurepip_and_pip_the_missing_package_is_named(checkout: Path, tmp_path: Path) -> None:
    python = python_that(tmp_path, 'case "$*" in *"import venv"*) exit 1 ;; esac')
    result = bootstrap(checkout, PYTHON=python)
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr

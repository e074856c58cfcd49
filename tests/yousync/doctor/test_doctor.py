"""`yousync doctor` on the project's own deployment, and on those that somebody spoilt."""

import json
import os
import secrets
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.deploy.compose import ROOT, make_env
from yousync.cli import app

GOOGLE = "AUTH_GOOGLE_CLIENT_IDS"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `deploy/make-env.sh` leaves it, with what only its operator can know."""
    folder = tmp_path_factory.mktemp("made")
    assert make_env(folder).returncode == 0
    shutil.copy(ROOT / "docker-compose.yml", folder)
    put(folder, **{GOOGLE: "yousync.apps.example.org", "AUTH_ADMIN_EMAILS": "alice@example.org"})
    return folder


@pytest.fixture
def deployment(made: Path, tmp_path: Path) -> Path:
    """One of them for each test."""
    for name in (".env", "docker-compose.yml"):
        shutil.copy(made / name, tmp_path)
    return tmp_path


def put(folder: Path, **variables: str) -> None:
    """Set variables of the .env, those that are there already included."""
    path = folder / ".env"
    kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in variables]
    path.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in variables.items())]) + "\n")


def value_of(folder: Path, name: str) -> str:
    return next(line.partition("=")[2] for line in (folder / ".env").read_text().splitlines() if line.startswith(f"{name}="))


def doctor(folder: Path, *arguments: str) -> Result:
    files = ["--compose", str(folder / "docker-compose.yml"), "--env-file", str(folder / ".env")]
    return CliRunner().invoke(app, ["doctor", *files, *arguments])


def lines(result: Result) -> list[str]:
    return result.output.splitlines()


def test_what_make_env_made_is_well(deployment: Path) -> None:
    done = doctor(deployment)
    assert (done.exit_code, lines(done)) == (0, ["nothing is missing, wrong or weak"])


def test_what_only_the_operator_knows_is_asked_for(deployment: Path) -> None:
    put(deployment, **{GOOGLE: ""})
    done = doctor(deployment)
    assert done.exit_code == 1
    assert lines(done) == [f"wrong: auth: ENVIRONMENT=production needs these set explicitly: {GOOGLE}"]


def test_a_secret_that_is_not_set_is_missing(deployment: Path) -> None:
    put(deployment, AUTH_KEY_SECRET="")
    done = doctor(deployment)
    assert done.exit_code == 1
    assert lines(done) == ["missing: AUTH_KEY_SECRET is not set: run deploy/make-env.sh"]


@pytest.mark.parametrize("weak", ["a" * 64, "change-me-change-me-change-me-change-me", "0123456789abcdef" * 4])
def test_a_secret_that_is_long_and_easy_is_weak_and_not_shown(deployment: Path, weak: str) -> None:
    put(deployment, AUTH_KEY_SECRET=weak)
    done = doctor(deployment)
    assert done.exit_code == 1
    (line,) = lines(done)
    assert line.startswith("weak: auth: AUTH_KEY_SECRET is easy to guess")
    assert weak not in done.output


def test_a_password_in_an_address_is_looked_at_and_not_shown(deployment: Path) -> None:
    put(deployment, AUTH_DATABASE_PASSWORD="hunter2")
    done = doctor(deployment)
    assert done.exit_code == 1
    assert [line for line in lines(done) if line.startswith("weak: auth: DATABASE_URL is easy to guess")]
    assert "hunter2" not in done.output


def test_a_short_secret_stops_the_service_itself(deployment: Path) -> None:
    put(deployment, AUTH_KEY_SECRET=secrets.token_hex(12))
    done = doctor(deployment)
    assert "wrong: auth: AUTH_KEY_SECRET must be at least 32 bytes long" in lines(done)
    assert done.exit_code == 1


def test_one_secret_for_two_purposes_is_named(deployment: Path) -> None:
    put(deployment, AUTH_KEY_SECRET=value_of(deployment, "STORAGE_SIGNING_KEY"))
    done = doctor(deployment)
    assert done.exit_code == 1
    (line,) = lines(done)
    assert line.startswith("weak: AUTH_KEY_SECRET and STORAGE_SIGNING_KEY are the same secret")
    assert value_of(deployment, "AUTH_KEY_SECRET") not in done.output


def test_what_is_set_and_read_by_nobody_is_noted_with_what_may_be_meant(deployment: Path) -> None:
    put(deployment, AUTH_ADMIN_EMIALS="bob@example.org")
    done = doctor(deployment)
    assert (done.exit_code, lines(done)) == (0, ["note: AUTH_ADMIN_EMIALS is read by nobody; is AUTH_ADMIN_EMAILS meant?"])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENVIRONMENT": "development"}, "weak: auth: ENVIRONMENT is development"),
        ({"PUBLIC_URL": "http://yousync.example"}, "weak: gateway: PUBLIC_URL begins with http://"),
        ({"FORWARDED_ALLOW_IPS": "*"}, "wrong: gateway: FORWARDED_ALLOW_IPS name the proxies"),
        ({"LOG_LEVEL": "DEBUG"}, "weak: audio: LOG_LEVEL DEBUG"),
        (
            {"AUTH_DEVELOPMENT_LOGIN": "true"},
            "wrong: auth: AUTH_DEVELOPMENT_LOGIN AUTH_DEVELOPMENT_LOGIN=true signs anybody in",
        ),
    ],
)
def test_dangerous_settings_are_named(deployment: Path, variables: dict[str, str], expected: str) -> None:
    put(deployment, **variables)
    done = doctor(deployment)
    assert done.exit_code == 1
    assert [line for line in lines(done) if line.startswith(expected)], done.output


def test_a_file_of_secrets_that_others_may_read_is_weak(deployment: Path) -> None:
    (deployment / ".env").chmod(0o644)
    done = doctor(deployment)
    assert (done.exit_code, lines(done)) == (1, ["weak: .env can be read by others on this machine: chmod 600 .env"])


def test_without_files_it_says_what_to_do(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert (done.exit_code, done.output.strip()) == (2, f"there is no {tmp_path}/docker-compose.yml")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    done = doctor(tmp_path)
    assert done.exit_code == 2
    assert "run deploy/make-env.sh" in done.output
    (tmp_path / "docker-compose.yml").write_text("services: [")
    (tmp_path / ".env").write_text("")
    assert doctor(tmp_path).exit_code == 2


def test_one_service_in_this_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("NOTIFIER_RETENTION_DAY", "7")
    done = CliRunner().invoke(app, ["doctor", "--service", "notifier", "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert {"severity": "note", "where": "notifier", "setting": "NOTIFIER_RETENTION_DAY"}.items() <= found[-1].items()
    assert any("DATABASE_URL" in each["what"] for each in found if each["severity"] == "wrong")
    assert os.environ["ENVIRONMENT"] == "production"  # as it was
    nobody = CliRunner().invoke(app, ["doctor", "--service", "nobody"])
    assert nobody.exit_code == 2

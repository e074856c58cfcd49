"""deploy/make-env.sh, run as a person would."""

import shutil
import stat
from pathlib import Path

from libs.common.web.rights import CALLERS
from libs.common.web.service_tokens import public_key
from tests.deploy.compose import ROOT, env_file, make_env

EXAMPLE = env_file(ROOT / ".env.example")
SECRETS = {
    line.split("=")[0] for line in (ROOT / ".env.example").read_text().partition("--- Secrets")[2].splitlines() if "=" in line
}


def test_every_secret_is_random_and_a_file_of_its_own_for_its_owner_only(tmp_path: Path) -> None:
    done = make_env(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    written = env_file(tmp_path / ".env")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert len({written[name] for name in SECRETS}) == len(SECRETS) > 0
    assert all(len(bytes.fromhex(written[name])) == 32 for name in SECRETS if "SERVICE" not in name)
    assert not any(written[name] in done.stdout for name in SECRETS)


def test_each_service_that_calls_others_has_a_key_of_its_own_and_all_know_the_public_ones(tmp_path: Path) -> None:
    make_env(tmp_path)
    written = env_file(tmp_path / ".env")
    private = {caller: written[f"{caller.upper()}_SERVICE_KEY"] for caller in CALLERS}
    assert written["SERVICE_PUBLIC_KEYS"] == ",".join(f"{caller}={public_key(key)}" for caller, key in private.items())
    assert {name for name in SECRETS if name.endswith("_SERVICE_KEY")} == {
        f"{caller.upper()}_SERVICE_KEY" for caller in CALLERS
    }


def test_without_openssl_nothing_is_written_and_it_is_named(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "od", "tr", "grep"):
        (programs / name).symlink_to(str(shutil.which(name)))
    done = make_env(tmp_path, PATH=str(programs))
    assert (done.returncode, (tmp_path / ".env").exists()) == (1, False)
    assert "needs openssl" in done.stderr


def test_what_is_no_secret_is_taken_from_the_example(tmp_path: Path) -> None:
    make_env(tmp_path)
    written = env_file(tmp_path / ".env")
    assert written.keys() == EXAMPLE.keys()
    assert {name: written[name] for name in EXAMPLE.keys() - SECRETS} == {
        name: EXAMPLE[name] for name in EXAMPLE.keys() - SECRETS
    }


def without(path: Path, *names: str) -> list[str]:
    """Take settings out of a file, as if it were of before they were known; the lines that are left."""
    kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in names]
    path.write_text("\n".join(kept) + "\n")
    return kept


def test_what_a_newer_release_knows_is_added_and_nothing_else_touched(tmp_path: Path) -> None:
    make_env(tmp_path)
    keys = {name for name in SECRETS if "SERVICE" in name}
    lacking = {"AUDIO_BROKER_PASSWORD", "GATEWAY_ADDRESS", *keys}
    before = without(tmp_path / ".env", *lacking)
    done = make_env(tmp_path, "--missing")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.removeprefix("Added to .env:").split()) == lacking
    assert (tmp_path / ".env").read_text().splitlines()[: len(before)] == before
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    written = env_file(tmp_path / ".env")
    assert written["GATEWAY_ADDRESS"] == EXAMPLE["GATEWAY_ADDRESS"]
    assert len(bytes.fromhex(written["AUDIO_BROKER_PASSWORD"])) == 32
    private = {caller: written[f"{caller.upper()}_SERVICE_KEY"] for caller in CALLERS}
    assert written["SERVICE_PUBLIC_KEYS"] == ",".join(f"{caller}={public_key(key)}" for caller, key in private.items())
    again = make_env(tmp_path, "--missing")
    assert (again.returncode, again.stdout) == (0, "Nothing is missing in .env.\n")


def test_a_single_service_key_is_not_made_beside_public_ones_that_do_not_know_it(tmp_path: Path) -> None:
    make_env(tmp_path)
    without(tmp_path / ".env", "AUDIO_SERVICE_KEY")
    assert make_env(tmp_path, "--missing").stdout == "Nothing is missing in .env.\n"


def test_what_is_missing_is_added_only_to_what_is_there(tmp_path: Path) -> None:
    assert make_env(tmp_path, "--missing").returncode == 1
    assert make_env(tmp_path, "--wrong").returncode == 2
    assert not (tmp_path / ".env").exists()


def test_a_file_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    make_env(tmp_path)
    before = (tmp_path / ".env").read_bytes()
    done = make_env(tmp_path)
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert (tmp_path / ".env").read_bytes() == before

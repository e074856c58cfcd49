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


def test_a_file_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    make_env(tmp_path)
    before = (tmp_path / ".env").read_bytes()
    done = make_env(tmp_path)
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert (tmp_path / ".env").read_bytes() == before

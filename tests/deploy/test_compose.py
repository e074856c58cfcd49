"""What docker-compose.yml promises: pinned, closed, complete."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings
from sqlalchemy.engine import make_url

from tests.deploy.compose import (
    COMPOSE,
    CONTAINERS,
    DOCKERFILE,
    ROOT,
    SERVICES,
    WITH_DATABASE,
    env_file,
    is_built,
    is_job,
    make_env,
    read_yaml,
)
from yousync.doctor.deployment import VARIABLE, interpolated
from yousync.topology.rights import USERS
from yousync.topology.users import OPERATOR, password_variable

EXAMPLE = env_file(ROOT / ".env.example")
SECRET = re.compile(r"PASSWORD|SECRET|_KEY")
OPTIONAL = {"AUTH_GOOGLE_CLIENT_SECRET"}  # without it one of the ways to sign in is off
NOT_OURS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # read by the AWS client itself

METRICS = {"gateway": 9100}  # on a port of its own: the other is the public door

every_container = pytest.mark.parametrize("name", CONTAINERS)
every_service = pytest.mark.parametrize("service", SERVICES)


def _pinned_version(image: str) -> tuple[int, ...]:
    """The full version in an image's tag: PostgreSQL's releases have two numbers, all others three."""
    match = re.fullmatch(r"(?P<name>[\w./-]+):v?(?P<version>\d+(\.\d+)+)(-[a-z]+)*", image)
    assert match, f"{image} is not pinned"
    version = tuple(int(part) for part in match["version"].split("."))
    assert len(version) == (2 if match["name"] == "postgres" else 3), f"{image} is a moving tag"
    return version


def _variables_of(node: Any) -> list[re.Match[str]]:
    if isinstance(node, dict):
        return [match for value in node.values() for match in _variables_of(value)]
    if isinstance(node, list):
        return [match for value in node for match in _variables_of(value)]
    return list(VARIABLE.finditer(node)) if isinstance(node, str) else []


def test_every_foreign_image_is_pinned_to_a_full_version() -> None:
    for container in CONTAINERS.values():
        if not is_built(container):
            _pinned_version(container["image"])
    base = re.search(r"^ARG PYTHON_IMAGE=(.+)$", DOCKERFILE, re.MULTILINE)
    assert base is not None
    assert (3, 11) <= _pinned_version(base[1]) < (3, 14)


def test_rabbitmq_is_the_release_that_the_bus_was_designed_for() -> None:
    assert (4, 3, 7) <= _pinned_version(CONTAINERS["rabbitmq"]["image"]) < (4, 4)


@every_service
def test_every_service_is_built_and_scraped(service: str) -> None:
    assert CONTAINERS[service]["build"]["args"] == {"SERVICE": service}
    names = [
        name
        for job in read_yaml("deploy/prometheus.yml")["scrape_configs"]
        for config in job.get("dns_sd_configs", [])
        for name in config["names"]
        if config["port"] == METRICS.get(service, 8000) and job["job_name"] == service
    ]
    assert names == [service]


def test_prometheus_reaches_everything_that_it_scrapes() -> None:
    for name in (*SERVICES, "rabbitmq"):
        assert set(CONTAINERS[name]["networks"]) & set(CONTAINERS["prometheus"]["networks"])


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_a_service_with_a_database_starts_after_its_migrations(service: str) -> None:
    migrations = CONTAINERS[f"{service}-migrations"]
    assert CONTAINERS[service]["depends_on"][f"{service}-migrations"] == {"condition": "service_completed_successfully"}
    assert migrations["command"] == ["python", "-m", "libs.common.migrations", f"services.{service}"]
    assert migrations["image"] == CONTAINERS[service]["image"]
    owner, runs = (make_url(each["environment"]["DATABASE_URL"]) for each in (migrations, CONTAINERS[service]))
    assert (owner.username, runs.username) == (f"yousync_{service}", f"yousync_{service}_service")
    assert (owner.host, owner.database) == (runs.host, runs.database)
    assert owner.password != runs.password
    assert migrations["depends_on"] == {"databases": {"condition": "service_completed_successfully"}}


@every_service
def test_a_service_has_a_user_of_its_own_at_the_broker_and_starts_when_there_is_one(service: str) -> None:
    container = CONTAINERS[service]
    assert container["environment"]["BROKER_TOPOLOGY"] == "applied"
    url = make_url(container["environment"]["BROKER_URL"])
    assert (url.username, url.password) == (service, f"${{{password_variable(service)}:?run deploy/make-env.sh}}")
    assert container["depends_on"]["broker"] == {"condition": "service_completed_successfully"}


def test_the_job_that_makes_users_knows_the_password_of_each_and_nobody_else_the_operators() -> None:
    given = {name for name in CONTAINERS["broker"]["environment"] if name.endswith("_PASSWORD")}
    assert given == {password_variable(user) for user in (OPERATOR, *USERS)}
    knowing = {
        name
        for name, container in CONTAINERS.items()
        if "RABBITMQ_PASSWORD" in {match["name"] for match in _variables_of(container)}
    }
    assert knowing == {"broker", "rabbitmq"}


@every_container
def test_a_container_is_confined(name: str) -> None:
    container = CONTAINERS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["mem_limit"]
    assert container["pids_limit"]


@every_container
def test_nothing_runs_as_root_but_the_job_that_gives_the_volume_away(name: str) -> None:
    container = CONTAINERS[name]
    if name == "storage-volume":
        assert is_job(container)
        assert (container["network_mode"], container["cap_add"]) == ("none", ["CHOWN"])
        return
    assert "cap_add" not in container
    user = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] if is_built(container) else container["user"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


@every_container
def test_whoever_stays_up_has_a_health_check_and_whoever_ends_is_waited_for(name: str) -> None:
    container = CONTAINERS[name]
    if is_job(container):
        waiting = [other.get("depends_on", {}).get(name) for other in CONTAINERS.values()]
        assert {"condition": "service_completed_successfully"} in waiting
        return
    assert container["restart"] == "unless-stopped"
    assert container["stop_grace_period"]
    if is_built(container):
        assert "healthcheck" not in container
        assert "/health/ready" in DOCKERFILE.partition("HEALTHCHECK")[2]
    else:
        assert container["healthcheck"]["test"]


def test_every_secret_is_required_and_none_has_a_default() -> None:
    secrets = [match for match in _variables_of(COMPOSE) if SECRET.search(match["name"])]
    assert {match["name"] for match in secrets} == {name for name in EXAMPLE if SECRET.search(name)}
    assert all(match["kind"] == "?" for match in secrets if match["name"] not in OPTIONAL)
    assert not any(match["text"] for match in secrets if match["name"] in OPTIONAL)
    assert not any(EXAMPLE[match["name"]] for match in secrets)


@every_container
def test_a_secret_never_stands_in_the_file_itself(name: str) -> None:
    for variable, value in CONTAINERS[name].get("environment", {}).items():
        if SECRET.search(variable) or "PASS" in variable:
            assert VARIABLE.fullmatch(value), variable
        if credentials := re.search(r"://[^/@:]*:(.+)@", value):
            assert VARIABLE.fullmatch(credentials[1]), variable


def test_the_example_names_every_variable_with_the_default_of_the_compose_file() -> None:
    used = {match["name"]: match for match in _variables_of(COMPOSE)}
    assert used.keys() == EXAMPLE.keys() - {"COMPOSE_PROJECT_NAME"}
    defaults = {name: match["text"] for name, match in used.items() if match["kind"] == "-"}
    assert defaults == {name: EXAMPLE[name] for name in defaults}


def test_ports_are_published_on_loopback_only_and_only_those_that_people_need() -> None:
    ports = {name: container["ports"] for name, container in CONTAINERS.items() if "ports" in container}
    assert ports.keys() == {"gateway", "storage", "prometheus"}
    for name, (port,) in ports.items():
        assert interpolated(port, {}).startswith("127.0.0.1:"), name


def test_only_published_containers_and_who_asks_the_sign_in_provider_are_on_a_network_that_leads_out() -> None:
    outward = {name for name, network in COMPOSE["networks"].items() if not network.get("internal")}
    for name, container in CONTAINERS.items():
        assert bool(outward & set(container.get("networks", []))) == ("ports" in container or name == "auth"), name
    assert [name for name, container in CONTAINERS.items() if "provider" in container.get("networks", [])] == ["auth"]


def test_analysis_servers_see_the_broker_and_the_object_store_and_no_credentials_but_the_brokers() -> None:
    analysis = CONTAINERS["analysis"]
    assert analysis["networks"] == ["work"]
    neighbours = {name for name, container in CONTAINERS.items() if "work" in container.get("networks", [])}
    assert neighbours == {"analysis", "rabbitmq", "storage", "prometheus"}
    assert {match["name"] for match in _variables_of(analysis) if SECRET.search(match["name"])} == {"ANALYSIS_BROKER_PASSWORD"}


@every_service
def test_a_service_starts_in_production_with_what_compose_gives_it(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_env(tmp_path).returncode == 0
    written = {**env_file(tmp_path / ".env"), "AUTH_GOOGLE_CLIENT_IDS": "yousync.apps.example.org"}
    environment = {name: interpolated(value, written) for name, value in CONTAINERS[service]["environment"].items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings_class: type[BaseSettings] = getattr(
        importlib.import_module(f"services.{service}.settings"), f"{service.title()}Settings"
    )
    settings = settings_class()

    assert settings.model_dump()["environment"] == "production"
    prefix = settings_class.model_config.get("env_prefix", "")
    known = {
        field.validation_alias if isinstance(field.validation_alias, str) else f"{prefix}{name}".upper()
        for name, field in settings_class.model_fields.items()
    }
    assert environment.keys() <= known | NOT_OURS

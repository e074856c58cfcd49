from yousync.doctor.deployment import Deployment
from yousync.doctor.examine import Severity, examine


def said(**of_notifier: str) -> list[str]:
    """What is said of how two services come to their broker and their databases, the one as it should be."""
    services = {
        "catalog": {
            "BROKER_URL": "amqp://catalog:one@broker/",
            "DATABASE_URL": "postgresql+asyncpg://yousync_catalog_service:two@db/yousync_catalog",
            "BROKER_TOPOLOGY": "applied",
        },
        "notifier": {
            "BROKER_URL": "amqp://notifier:three@broker/",
            "DATABASE_URL": "postgresql+asyncpg://yousync_notifier_service:four@db/yousync_notifier",
            "BROKER_TOPOLOGY": "applied",
            **of_notifier,
        },
    }
    found = examine(Deployment(services))
    names = ("BROKER_URL", "DATABASE_URL", "BROKER_TOPOLOGY")
    return [
        str(each) for each in found if each.severity is Severity.WEAK and each.setting in names and "guess" not in each.what
    ]


def test_services_that_have_users_of_their_own_are_nothing_to_talk_about() -> None:
    assert said() == []


def test_a_user_of_two_services_is_told() -> None:
    same = "has the same user for catalog and notifier: each may do what the other does"
    assert f"weak: BROKER_URL {same}" in said(BROKER_URL="amqp://catalog:five@broker/")
    database = "postgresql+asyncpg://yousync_catalog_service:five@db/yousync_notifier"
    assert f"weak: DATABASE_URL {same}" in said(DATABASE_URL=database)


def test_a_service_that_may_make_queues_is_told_with_the_way_out() -> None:
    (told,) = said(BROKER_TOPOLOGY="declare")
    assert told.startswith("weak: notifier: BROKER_TOPOLOGY is declare")
    assert "yousync topology apply" in told

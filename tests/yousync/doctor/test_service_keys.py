from libs.common.web.rights import CALLERS
from libs.common.web.service_tokens import new_key, public_key
from yousync.doctor.deployment import Deployment
from yousync.doctor.examine import Severity, examine

KEYS = {caller: new_key() for caller in CALLERS}
PUBLIC = ",".join(f"{caller}={public_key(key)}" for caller, key in KEYS.items())


def said(**changed: str) -> list[str]:
    """What is said of the keys of three services, of which the gateway's environment has been `changed`."""
    services = {
        "gateway": {"SERVICE_PRIVATE_KEY": KEYS["gateway"], **changed},
        "catalog": {"SERVICE_PRIVATE_KEY": KEYS["catalog"], "SERVICE_PUBLIC_KEYS": PUBLIC},
        "notifier": {"SERVICE_PUBLIC_KEYS": PUBLIC},
    }
    found = examine(Deployment(services))
    return [f"{each.where}: {each.what}" for each in found if each.severity is Severity.WRONG and "SERVICE" in each.setting]


def test_keys_that_fit_are_nothing_to_talk_about() -> None:
    assert said() == []


def test_a_caller_whom_nobody_would_know_is_told_for_each_who_would_refuse_it() -> None:
    refused = "does not hold the key of gateway, which it would refuse"
    assert said(SERVICE_PRIVATE_KEY=new_key()) == [f"catalog: {refused}", f"notifier: {refused}"]
    assert said(SERVICE_PRIVATE_KEY=KEYS["audio"]) == [f"catalog: {refused}", f"notifier: {refused}"]


def test_a_key_that_is_none_is_told_by_the_service_that_has_it_and_not_shown() -> None:
    assert said(SERVICE_PRIVATE_KEY="my own words") == ["gateway: is no Ed25519 private key in base64"]

"""Services that call others, as those see them: with the keys that they have where none are set."""

from libs.common.web.internal import AnsweringSettings
from libs.common.web.service_tokens import Identity, ServiceVerifier, development_key


def as_service(caller: str, audience: str) -> dict[str, str]:
    """The header by which `caller` shows itself to `audience`."""
    return Identity(caller, development_key(caller)).header(audience)


def verifier_of(audience: str) -> ServiceVerifier:
    """What `audience` checks such headers with."""
    return ServiceVerifier(AnsweringSettings().service_public_keys, audience=audience, leeway=5)

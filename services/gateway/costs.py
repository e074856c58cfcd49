"""What a request costs, before anybody looks at it closer."""

import re

from services.gateway import streams
from services.gateway.routes import Cost, route_of

LOOKS_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})

# Of what the gateway answers itself. Probes come every few seconds from load balancers and must not be told to go away.
FREE = re.compile(r"/health(/live|/ready)?/?")
OWN = re.compile(r"/|/(docs|redoc|openapi\.json|api/mypage/overview)/?|/docs/assets/.*", re.DOTALL)


def cost_of(method: str, path: str) -> Cost | None:
    """The class of a request to a decoded `path`; None when it is not limited. What is in no table is the dearest."""
    if FREE.fullmatch(path):
        return None
    if streams.PATH.fullmatch(path):
        return Cost.STREAM
    if OWN.fullmatch(path):
        return Cost.READ
    route = route_of(path)
    return Cost.UNKNOWN if route is None else route.costs[method not in LOOKS_ONLY]

"""The topology and its users in files: what deploy/broker.sh imports, and a table of the rights for people.

Written by `make contracts`, which also checks that they are up to date. For passwords they have the names of variables.
"""

import json
from typing import Final

from libs.common.bus.topology import RETRY_LADDER
from yousync.topology.rights import USERS, table
from yousync.topology.users import OPERATOR, Definitions, password_variable, topology_definitions, user_definitions

TABLE: Final = "docs/broker-rights.md"
RESTRICTIONS: Final = "deploy/broker/1-topology.json"
PERMISSIONS: Final = "deploy/broker/2-permissions.json"

_TABLE = f"""\
# Who may do what at the broker

Each service has a user of its own, with what it needs: [why and how](decisions/0026-a-user-for-each-service.md). The user
`{OPERATOR}` may everything: it is for `yousync topology`, `dlq`, `trace` and `audit`. Made by `make contracts` from the
contracts and the topology.

"Puts aside": by the name of the queue, to a rung of the retry ladder or to the dead letters. "Hears": binds queues that it
made (`*` is a name of its own choice) to this exchange, where keys are named by those alone. Whoever reads a queue may
empty it.

"""


def files() -> dict[str, str]:
    """Every generated file, by its path in the repository."""
    passwords = {user: f"@{password_variable(user)}@" for user in (OPERATOR, *USERS)}
    restricted, let_in = user_definitions(passwords, RETRY_LADDER, "/")
    return {
        TABLE: _TABLE + table(RETRY_LADDER),
        RESTRICTIONS: _text({**topology_definitions(RETRY_LADDER, "/"), **restricted}),
        PERMISSIONS: _text(let_in),
    }


def _text(definitions: Definitions) -> str:
    return json.dumps(definitions, indent=2) + "\n"

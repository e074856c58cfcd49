from libs.common.web.rights import ADMIN, PUBLIC, RIGHTS, Need, Who, services
from yousync.contracts.rights import document


def test_every_row_of_the_table_is_in_the_document_once() -> None:
    text = document()
    for service, rights in RIGHTS.items():
        section = (
            text.partition(f"## {service}\n")[2].partition("\n## ")[0]
            + text.partition("## every service\n")[2].partition("\n## ")[0]
        )
        for name in rights:
            assert section.count(f"| `{name}` |") == 1, (service, name)


def test_a_row_says_for_whom_and_what_else_is_asked() -> None:
    shared = {"GET /health/live": PUBLIC}
    text = document(
        {
            "audio": {**shared, "GET /internal/jobs": services("catalog", "gateway")},
            "catalog": {**shared, "PUT /a": Need(Who.ADMIN, "on Sundays", refusal="not you"), "PUT /b": ADMIN},
        }
    )
    assert "## every service\n\n| endpoint | for | and |\n|---|---|---|\n| `GET /health/live` | public |  |\n" in text
    assert "| `GET /internal/jobs` | service | catalog, gateway |\n" in text
    assert "| `PUT /a` | admin | on Sundays; else: not you |\n| `PUT /b` | admin |  |\n" in text


def test_every_group_is_explained() -> None:
    head = document().partition("## ")[0]
    assert all(f"| {who.name.lower()} | {who.value} | " in head for who in Who)

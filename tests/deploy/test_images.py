"""Whether an image has all that its service imports, without building it."""

import re
import subprocess
import sys

import pytest

from tests.deploy.compose import DOCKERFILE, ROOT, SERVICES, WITH_DATABASE

# What is installed here for other services or for tests is not there for this one. An optional import that fails is fine.
IMPORT_ALL = """
import importlib.abc, importlib.metadata, importlib.util, pkgutil, re, sys

package, *locked = sys.argv[1:]
owners = importlib.metadata.packages_distributions()

class OnlyLocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        names = owners.get(name.partition(".")[0])
        if names and not {re.sub("[-_.]+", "-", owner).lower() for owner in names} & set(locked):
            raise ModuleNotFoundError(f"No module named {name!r} in requirements of {package}", name=name)

sys.meta_path.insert(0, OnlyLocked())
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    # The first runs what it is, the second only inside alembic.
    if not module.name.endswith("__main__") and ".migrations" not in module.name:
        importlib.import_module(module.name)
if importlib.util.find_spec(package + ".migrations"):
    import libs.common.migrations
"""


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_nothing_that_its_own_lock_does_not_have(service: str) -> None:
    lock = (ROOT / "requirements" / f"{service}.txt").read_text()
    names = re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)
    locked = [re.sub("[-_.]+", "-", name).lower() for name in names]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, f"services.{service}", *locked], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_check_has_something_to_check() -> None:
    assert {"audio", "gateway", "analysis"} <= set(SERVICES)
    assert set(WITH_DATABASE) < set(SERVICES)


def test_the_build_context_has_all_that_is_copied_and_nothing_else() -> None:
    copied = {path.split("/")[0] for path in re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE)}
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert "*" in lines

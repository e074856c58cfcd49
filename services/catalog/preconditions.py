"""`If-Match`: a change is made only to a state that its author has seen."""

from dataclasses import dataclass

from services.catalog.errors import ChangedMeanwhile
from services.catalog.etags import allows


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The header as it came, or None for no condition."""

    header: str | None = None

    def check(self, version: int) -> None:
        """Raise `ChangedMeanwhile` unless what is in `version` now may be changed."""
        if self.header is not None and not allows(self.header, version):
            raise ChangedMeanwhile

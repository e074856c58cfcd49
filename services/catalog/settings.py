"""Settings of catalog."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.settings import BusSettings, DatabaseSettings, StorageSettings, VerifierSettings
from libs.common.web.internal import AnsweringSettings, CallingSettings


class CatalogSettings(DatabaseSettings, BusSettings, StorageSettings, VerifierSettings, AnsweringSettings, CallingSettings):
    """From the environment, prefix CATALOG_."""

    model_config = SettingsConfigDict(env_prefix="CATALOG_")
    service = "catalog"

    # bytes of an import document, which is parsed in memory: 64 MiB take about half a gigabyte while it runs
    max_import_bytes: int = Field(64 * 1024 * 1024, ge=1)
    # bytes of melodies kept in memory: one has some 50 KB, so that the scenes which are practised at the moment have room
    pitch_cache_bytes: int = Field(32 * 1024 * 1024, ge=0)

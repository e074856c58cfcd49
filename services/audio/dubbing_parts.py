"""The parts that make dubbings, put together."""

import asyncio

from libs.common.background import eventually
from libs.common.bus.base import Bus
from libs.common.bus.topology import AUDIO_MIXING
from libs.common.db import Database
from libs.common.storage.base import Storage
from libs.common.storage.factory import open_storage
from services.audio.backgrounds import Backgrounds, reference_url
from services.audio.dubbing_news import DubbingNews
from services.audio.dubbing_work import DubbingWork, mixing_router
from services.audio.dubbings import DubbingLimits, DubbingService
from services.audio.erasing import ObjectEraser
from services.audio.mixer import Mixer
from services.audio.settings import AudioSettings
from services.audio.tokens import TokenService

CONNECT_AGAIN_SECONDS = 30.0


class DubbingParts:
    """`service` for who asks; `run` mixes. `storage` is the service's own, where recordings and dubbings are.

    `links` signs for browsers, of what is in it.
    """

    def __init__(
        self,
        settings: AudioSettings,
        database: Database,
        bus: Bus,
        storage: Storage,
        tokens: TokenService,
        eraser: ObjectEraser,
    ) -> None:
        self._bus = bus
        self._others: list[Storage] = []  # stores beside the service's own, which whoever opened it starts
        links = references = storage
        if settings.public_storage_url is not None:
            links = self._open(settings, settings.public_storage_url)
        if settings.reference_bucket is not None:
            references = self._open(settings, reference_url(settings.storage_url, settings.reference_bucket))
        self.links = links
        self._news = DubbingNews(bus)
        self._processes = settings.mixing_processes
        limits = DubbingLimits(
            wait=settings.dubbing_wait_seconds,
            lost=settings.dubbing_lost_seconds,
            scene=settings.max_dubbing_seconds,
            open=settings.max_open_dubbings,
        )
        backgrounds = Backgrounds(references)
        self.service = DubbingService(database, links, backgrounds, tokens, self._news, limits)
        self._work = DubbingWork(
            database,
            storage,
            backgrounds,
            Mixer(seconds=settings.mixing_seconds, memory_mib=settings.mixing_memory_mib),
            self._news,
            eraser,
            attempts=settings.mixing_attempts,
            kept=settings.dubbings_kept,
        )

    async def run(self) -> None:
        """Mix what is asked for until cancelled, then finish what is being mixed."""
        await self._news.start()
        mixing = await self._bus.consume(AUDIO_MIXING, mixing_router(self._work), concurrency=self._processes)
        try:
            await asyncio.gather(*(_connect(each) for each in self._others))
            await asyncio.Event().wait()
        finally:
            await mixing.drain()
            await self._news.close()
            for each in self._others:
                await each.close()

    def _open(self, settings: AudioSettings, url: str) -> Storage:
        opened = open_storage(url, signing_key=settings.storage_signing_key, public_url=settings.public_url)
        self._others.append(opened)
        return opened


async def _connect(store: Storage) -> None:
    await eventually(store.start, what="connecting to another object store", seconds=CONNECT_AGAIN_SECONDS)

"""Many recordings in one request: all of them are taken, or none."""

from collections.abc import Sequence
from contextlib import aclosing

from libs.common.contracts.audio import Priority
from services.audio.errors import (
    BatchMismatch,
    BatchTooLong,
    EmptyUpload,
    FieldMissing,
    InvalidField,
    UnsupportedAudio,
    UploadTooLarge,
)
from services.audio.multipart import Form, Part
from services.audio.tokens import TokenService
from services.audio.uploads import StoredRecording, Target, Uploader, UploadService

FILES, TOKEN_IDS = "files", "token_ids"
MAX_IDS_BYTES = 4096


class BatchService:
    """The use case. `max_files` recordings of `max_file_bytes` each at most."""

    def __init__(self, uploads: UploadService, tokens: TokenService, *, max_files: int, max_file_bytes: int) -> None:
        self._uploads = uploads
        self._tokens = tokens
        self._max_files = max_files
        self._max_file_bytes = max_file_bytes

    async def accept(self, form: Form, uploader: Uploader) -> list[str]:
        """Store the `files` of the form one after the other as they arrive, then begin their jobs; their ids in that order.

        `token_ids` ("1,2") says of which scenes they are; it may come before or after them. When anything fails nothing is
        left behind: an answer has one place for an error, and who sends a batch again sends all of it. Raises FieldMissing,
        InvalidField, BatchMismatch, BatchTooLong, TokenNotFound, and what a single upload does, with the file's number.
        """
        stored: list[StoredRecording] = []
        try:
            targets: list[Target] | None = None
            async with aclosing(form.parts()) as parts:
                async for part in parts:
                    if part.name == TOKEN_IDS and targets is None:
                        targets = await self._targets(part)
                    elif part.name == FILES:
                        if len(stored) == self._max_files:
                            raise BatchTooLong(self._max_files)
                        stored.append(await self._store(part, uploader, number=len(stored) + 1))
            if targets is None:
                raise FieldMissing(TOKEN_IDS)
            if not stored:
                raise FieldMissing(FILES)
            if len(stored) != len(targets):
                raise BatchMismatch(len(stored), len(targets))
        except BaseException:
            await self._uploads.discard(stored)
            raise
        return await self._uploads.begin(list(zip(stored, targets, strict=True)), uploader)

    async def _targets(self, part: Part) -> list[Target]:
        """The scenes, looked up at once: a batch for one that is not there is not read to its end."""
        async with aclosing(part.pieces(MAX_IDS_BYTES)) as pieces:
            token_ids = _ids(b"".join([piece async for piece in pieces]))
        if len(token_ids) > self._max_files:
            raise BatchTooLong(self._max_files)
        await self._tokens.tokens(token_ids)
        return [Target.of_scene(token_id, Priority.LOW) for token_id in token_ids]

    async def _store(self, part: Part, uploader: Uploader, *, number: int) -> StoredRecording:
        try:
            async with aclosing(part.pieces(self._max_file_bytes)) as recording:
                return await self._uploads.store(f"{uploader.folder}/batch", recording)
        except (EmptyUpload, UnsupportedAudio, UploadTooLarge) as error:
            error.detail = f"{number}번째 파일: {error.detail}"
            if isinstance(error, EmptyUpload):
                error.field = FILES
            raise


def _ids(text: bytes) -> Sequence[int]:
    parts = [part.strip() for part in text.decode("utf-8", "replace").split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise InvalidField(TOKEN_IDS, "token_ids must be numbers with commas between them, such as 1,2")
    return [int(part) for part in parts]

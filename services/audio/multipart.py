"""A multipart form piece by piece as it arrives.

Frameworks spool a whole file before the endpoint sees it. Here the parser runs inside the iteration: who does not ask for
the next piece does not read from the socket either, so the client is slowed to the speed of the storage, and nothing but
the piece at hand is in memory.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.audio.errors import FieldMissing, MalformedUpload, UploadTooLarge

# What may surround a file: boundaries, headers, other fields, which are ignored.
OVERHEAD_BYTES = 64 * 1024


class Part:
    """One field of a form. Its pieces must be taken before the next part is asked for; what is left then is dropped."""

    def __init__(self, form: "Form", name: str) -> None:
        self._form = form
        self.name = name

    async def pieces(self, max_bytes: int) -> AsyncGenerator[bytes, None]:
        """The field's bytes; call once. Raises UploadTooLarge beyond `max_bytes`, and what the form raises."""
        size = 0
        while (piece := await self._form.piece()) is not None:
            size += len(piece)
            if size > max_bytes:
                raise UploadTooLarge(max_bytes)
            yield piece


class _End:
    """The end of a part."""


_END = _End()
_Happening: TypeAlias = Part | bytes | _End


class Form:
    """The form in `body`, whose files may have `max_bytes` in all.

    Raises FieldMissing for `field` when it is no form, MalformedUpload when its boundary is missing or too long.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes], *, max_bytes: int, field: str) -> None:
        media_type, options = parse_options_header(content_type)
        if media_type != b"multipart/form-data":
            raise FieldMissing(field)
        if not options.get(b"boundary"):
            raise MalformedUpload("the multipart form names no boundary")
        self._body = body
        self._max_bytes = max_bytes
        self._received = 0
        self._complete = False
        self._inside = False  # a part whose end was not handed out yet
        self._happened: deque[_Happening] = deque()
        self._name = ""
        self._header_name, self._header_value = b"", b""
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_name_arrives,
                    "on_header_value": self._header_value_arrives,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data_arrives,
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
            )
        except FormParserError as error:
            raise MalformedUpload("the boundary of the multipart form is too long") from error

    async def parts(self) -> AsyncGenerator[Part, None]:
        """The fields in their order; call once. The form is read to its end: that tells a complete one from a broken one.

        Raises MalformedUpload, UploadTooLarge.
        """
        while (happening := await self._next()) is not None:
            if isinstance(happening, Part):
                self._inside = True
                yield happening
                while await self.piece() is not None:
                    pass
        if not self._complete:
            raise MalformedUpload("the multipart form ends too early; please send it again")

    async def piece(self) -> bytes | None:
        """The next bytes of the part at hand, None at its end; for `Part`."""
        happening = await self._next() if self._inside else None
        if isinstance(happening, bytes):
            return happening
        self._inside = False
        return None

    async def _next(self) -> _Happening | None:
        while not self._happened:
            data = await anext(self._body, None)
            if data is None:
                if self._inside:
                    raise MalformedUpload("the multipart form ends too early; please send it again")
                return None
            self._received += len(data)
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise MalformedUpload("the body is not a valid multipart form") from error
            if self._received > self._max_bytes + OVERHEAD_BYTES:
                raise UploadTooLarge(self._max_bytes)
        return self._happened.popleft()

    def _part_begins(self) -> None:
        self._name = ""
        self._header_name, self._header_value = b"", b""

    def _header_name_arrives(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_arrives(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(self._header_value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._header_name, self._header_value = b"", b""

    def _headers_end(self) -> None:
        self._happened.append(Part(self, self._name))

    def _data_arrives(self, data: bytes, start: int, end: int) -> None:
        self._happened.append(data[start:end])

    def _part_ends(self) -> None:
        self._happened.append(_END)

    def _form_ends(self) -> None:
        self._complete = True


async def file_in(form: Form, field: str, *, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The bytes of the first field called `field`, up to the end of the form. Raises FieldMissing and what the form raises."""
    found = False
    async with aclosing(form.parts()) as parts:
        async for part in parts:
            if part.name == field and not found:
                found = True
                async with aclosing(part.pieces(max_bytes)) as pieces:
                    async for piece in pieces:
                        yield piece
    if not found:
        raise FieldMissing(field)

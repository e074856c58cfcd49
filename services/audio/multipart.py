"""The recording in a multipart form, piece by piece as it arrives.

Frameworks spool a whole file before the endpoint sees it. Here the parser runs inside the iteration: who does not ask for
the next piece does not read from the socket either, so the client is slowed to the speed of the storage, and nothing but
the piece at hand is in memory.
"""

from collections.abc import AsyncGenerator, AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.audio.errors import FileMissing, MalformedUpload, UploadTooLarge

FIELD = b"file"
# What may surround the file: boundaries, headers, other fields, which are ignored.
OVERHEAD_BYTES = 64 * 1024


class FileField:
    """The first field called `file` of the form in `body`, of at most `max_bytes`.

    Raises FileMissing when there is no form, MalformedUpload when its boundary is missing or too long.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes], *, max_bytes: int) -> None:
        media_type, options = parse_options_header(content_type)
        if media_type != b"multipart/form-data":
            raise FileMissing
        if not options.get(b"boundary"):
            raise MalformedUpload("the multipart form names no boundary")
        self._body = body
        self._max_bytes = max_bytes
        self._size = 0
        self._pieces: list[bytes] = []
        self._found = self._inside = self._complete = False
        self._header_name, self._header_value = b"", b""
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_name_arrives,
                    "on_header_value": self._header_value_arrives,
                    "on_header_end": self._header_ends,
                    "on_part_data": self._data_arrives,
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
            )
        except FormParserError as error:
            raise MalformedUpload("the boundary of the multipart form is too long") from error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The field's bytes; call once. The form is read to its end, which is what tells a complete one from a broken one.

        Raises FileMissing, MalformedUpload, UploadTooLarge.
        """
        received = 0
        async for data in self._body:
            received += len(data)
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise MalformedUpload("the body is not a valid multipart form") from error
            if self._size > self._max_bytes or received > self._max_bytes + OVERHEAD_BYTES:
                raise UploadTooLarge(self._max_bytes)
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
        if not self._complete:
            raise MalformedUpload("the multipart form ends too early; please send it again")
        if not self._found:
            raise FileMissing

    def _part_begins(self) -> None:
        self._header_name, self._header_value = b"", b""

    def _header_name_arrives(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_arrives(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        if self._header_name.lower() == b"content-disposition" and not self._found:
            _, options = parse_options_header(self._header_value)
            self._found = self._inside = options.get(b"name") == FIELD
        self._header_name, self._header_value = b"", b""

    def _data_arrives(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._size += end - start
            self._pieces.append(data[start:end])

    def _part_ends(self) -> None:
        self._inside = False

    def _form_ends(self) -> None:
        self._complete = True

"""What every HTTP app has: factory, problem details, health, metrics, request logs, the token check, the server loop."""

from starlette.convertors import PathConvertor, register_url_convertor


class _Text(PathConvertor):
    """`{name:text}` is any text, slashes and line breaks too, so that what may not be in it is refused by its field's name."""

    regex = "(?s:.*)"


register_url_convertor("text", _Text())  # here, because every module with routes imports something of this package

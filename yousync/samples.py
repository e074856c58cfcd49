"""The sample catalogue and its recordings."""

import json
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
TAKES = SAMPLES / "takes"


def load_catalog(path: Path = SAMPLES / "catalog.json") -> dict[str, Any]:
    """A catalogue document from a JSON file. Raises ValueError with the place when it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} must hold a JSON object, not a {type(document).__name__}")
    return document

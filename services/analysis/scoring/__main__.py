"""Score a recording offline against a line of a catalogue: `python -m services.analysis.scoring FILE --script 3`."""

import argparse
import json
import sys
from pathlib import Path

from services.analysis.errors import AudioError
from services.analysis.scoring.analyze import Analyzer
from services.analysis.scoring.result import AnalysisResult
from services.analysis.scoring.script import ScriptWord


def words_of_line(catalogue: Path, script_id: int) -> list[ScriptWord]:
    """The words of one line of a catalogue in the import format (`samples/catalog.json`)."""
    rows = json.loads(catalogue.read_text(encoding="utf-8"))["words"]
    fields = ("word", "id", "start_time", "end_time", "mfcc")
    return [ScriptWord(**{f: row.get(f) for f in fields}) for row in rows if row["script_id"] == script_id]


def table(result: AnalysisResult) -> str:
    """One row a word, the way a person reads it."""
    rows = [f"{'word':<16}{'score':>7}{'heard':>7}{'time':>7}{'sound':>7}   from - to (s)"]
    for word in result.word_analysis:
        measures = (word.word_score, word.pronunciation_score, word.timing_score, word.mfcc_similarity)
        span = "not heard" if word.start is None else f"{word.start:.2f} - {word.end:.2f}"
        rows.append(f"{word.word:<16}" + "".join(f"{measure:7.2f}" for measure in measures) + f"   {span}")
    rows.append(f"{'overall':<16}{result.overall_score:7.2f}   flags: {', '.join(result.quality.flags) or 'none'}")
    rows.append(f"heard: {result.heard_phones}")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.analysis.scoring", description=__doc__)
    parser.add_argument("file", type=Path, help="recording: WAV, FLAC, OGG, MP3, WebM or M4A")
    parser.add_argument("--script", type=int, required=True, help="id of the line")
    parser.add_argument("--catalog", type=Path, default=Path("samples/catalog.json"), help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    arguments = parser.parse_args()
    try:
        words = words_of_line(arguments.catalog, arguments.script)
        if not words:
            parser.error(f"{arguments.catalog} has no line {arguments.script}")
        result = Analyzer().analyze(arguments.file.read_bytes(), words, lambda percent, step: None)
    except (AudioError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result.to_json(), ensure_ascii=False, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

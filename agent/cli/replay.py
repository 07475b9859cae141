"""`chargepoint replay FILE...`: what a charger has seen and decided, told as a story and decided once more.

FILE is a segment of the flight recorder (`/var/lib/chargepoint/recorder/*.cpfr`), its folder, or a support bundle. No
agent and no hardware are needed: the recorded events go through the same core, and each step must give the effects that
were recorded. It says what deviates, which is what a developer looks for; the story is for everybody.

Exit codes: 0 every step gave the same, 1 some did not, or nothing could be read, 2 the command line was wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli import Parser
from agent.errors import AgentError, Exit

if TYPE_CHECKING:
    from agent.cli.replay_run import Played

MEMBER = "recorder.jsonl"
MAX_MEMBER_BYTES = 64 << 20
MAX_SHOWN = 10  # deviations; the others are counted


class Unusable(AgentError):
    """There is nothing to be replayed."""


def main(argv: Sequence[str]) -> int:
    """Tell it, and say how it went; the exit code."""
    parser = Parser(
        prog="chargepoint replay",
        description="Tell what the flight recorder has written, and let the same core decide it once more.",
        epilog="exit codes: 0 every step gave the same effects, 1 some did not or nothing could be read, "
        "2 the command line was wrong",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a segment, the recorder's folder, a support bundle")
    parser.add_argument("--evse", type=int, metavar="N", help="tell only what is about this EVSE")
    parser.add_argument("--all", action="store_true", help="tell every step, also those from which nothing followed")
    parser.add_argument("--quiet", action="store_true", help="tell no story, only what deviates, and the end")
    parser.add_argument("--json", action="store_true", help="the end as one line of JSON, and no story")
    options = parser.parse_args(list(argv))
    from agent.cli.replay_run import Player
    from agent.cli.replay_story import told

    tally = Tally()
    silent = options.quiet or options.json
    for source in _sources([Path(name) for name in options.files]):
        for played in Player().play(_lines(source, tally)):
            tally.count(played)
            text = "" if silent else told(played, everything=options.all, evse=options.evse)
            if text:
                print(text)
            if played.same is False and not options.json and tally.deviations <= MAX_SHOWN:
                print(_deviation(played))
    if not tally.lines:
        raise Unusable(f"chargepoint replay: {options.files[0]}: nothing is recorded there{_why(tally)}")
    print(json.dumps(tally.facts()) if options.json else "\n".join(tally.words()))
    return Exit.OK if tally.good else Exit.FAILURE


class Tally:
    """How it went."""

    def __init__(self) -> None:
        self.lines = self.steps = self.deviations = self.untried = 0
        self.first = self.last = 0.0
        self.troubles: list[str] = []
        self.versions: list[str] = []

    @property
    def good(self) -> bool:
        return not self.deviations and self.steps > self.untried

    def count(self, played: Played) -> None:
        self.lines += 1
        if played.utc:
            self.first, self.last = self.first or played.utc, played.utc
        if played.kind == "head" and played.version not in self.versions:
            self.versions.append(played.version)
        if played.kind == "unreadable" or (played.kind == "head" and played.text):
            self.troubles = [*self.troubles[:MAX_SHOWN], played.text]
        if played.kind in ("step", "bug"):
            self.steps += 1
            self.untried += played.same is None
            self.deviations += played.same is False

    def facts(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "same": self.steps - self.untried - self.deviations,
            "deviations": self.deviations,
            "not_replayed": self.untried,
            "from_utc": self.first,
            "until_utc": self.last,
            "versions": self.versions,
            "troubles": self.troubles,
        }

    def words(self) -> Iterator[str]:
        from agent import __version__
        from agent.cli.replay_story import moment

        yield from (f"not read: {trouble}" for trouble in self.troubles)
        yield f"from {moment(self.first)} until {moment(self.last)} UTC"
        same = self.steps - self.untried - self.deviations
        yield f"{same} of {self.steps} steps gave the same effects" + (
            f", {self.deviations} did not" if self.deviations else ""
        )
        if self.untried:
            yield f"{self.untried} could only be told, since what they build upon could not be read"
        others = [version for version in self.versions if version != __version__]
        if others:
            yield f"recorded by {', '.join(others)}, replayed by {__version__}: what deviates may be what is new"


def _why(tally: Tally) -> str:
    return f" ({tally.troubles[0]})" if tally.troubles else ""


def _deviation(played: Played) -> str:
    lines = ["   *** it decides otherwise now"]
    lines += [f"       recorded: {text}" for text in played.missing]
    lines += [f"       now:      {text}" for text in played.new]
    return "\n".join(lines)


# --- where it stands ----------------------------------------------------------------------------------------


def _sources(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        try:
            found = sorted(each for each in path.iterdir() if each.suffix == ".cpfr")
        except NotADirectoryError:
            found = [path]
        except OSError as error:
            raise _closed(path, error) from None
        yield from found


def _lines(path: Path, tally: Tally) -> Iterator[str]:
    """What stands there, up to where it can be read."""
    from agent.store.recorder import Torn, lines

    try:
        if path.name.endswith((".tar.gz", ".tgz")):
            yield from _member(path)
        elif path.suffix == ".jsonl":
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from (line for line in file if line.strip())
        else:
            yield from lines(path)
    except Torn as error:
        tally.troubles.append(f"{path.name}: {error}")
    except OSError as error:
        raise _closed(path, error) from None


def _closed(path: Path, error: OSError) -> Unusable:
    remedy = "; use sudo" if isinstance(error, PermissionError) else ""
    return Unusable(f"chargepoint replay: {path}: {error.strerror or error}{remedy}")


def _member(path: Path) -> Iterator[str]:
    """The recording in a support bundle."""
    import tarfile
    import zlib

    try:
        with tarfile.open(path, "r:gz") as tar:
            found = next((each for each in tar if each.name.rpartition("/")[2] == MEMBER and each.isfile()), None)
            if found is None:
                raise Unusable(f"chargepoint replay: {path}: this bundle holds no flight recording")
            file = tar.extractfile(found)
            assert file is not None, "it is a file"
            text = file.read(MAX_MEMBER_BYTES).decode("utf-8", "replace")
    except (tarfile.TarError, EOFError, zlib.error):
        raise Unusable(f"chargepoint replay: {path}: this is no whole support bundle") from None
    yield from (line for line in text.split("\n") if line)

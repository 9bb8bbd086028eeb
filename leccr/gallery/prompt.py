"""`leccr search GALLERY` without a query: answers lines that a person types at a prompt, or that a pipe brings."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from processing.notes import note
from processing.screen import shown

from ..errors import UserError
from .answers import explanation, note_calibration, note_cost, note_unreadable, print_json, print_table
from .candidates import kind_of
from .confidence import fitting, nearest_of
from .filters import parse_filter
from .fusion import weight_of_words
from .gallery import Gallery
from .options import SearchOptions
from .query_words import nothing_matches
from .results import Result, existing_file
from .sorting import check_order

PROMPT = "query> "
WELCOME = "Type a query in any language; :help lists the commands, an empty line or Ctrl-D ends."
HELP = """\
Any text             searches the gallery; the arrow keys bring back earlier queries.
:open 3              opens the picture of the third answer.
:filter taken>=2024  filters the next answers, as --filter does; :filter alone ends that.
:sort -taken         sorts them by time, as --sort does; :sort alone has the best first.
:words 0.5           weighs words in descriptions, names and writing, as --words does.
"Any text" in quotes must occur in them.
:help                shows this.
an empty line, :quit or Ctrl-D ends."""


class Prompt:
    """Answers queries and obeys the commands of `HELP`, one per line.

    Args:
        gallery: An open gallery.
        k: Number of results per query.
        options: Which items are answers.
        min_confidence: Leave out answers that are less sure.
        as_json: Print one line of JSON per query instead of a table.
    """

    def __init__(
        self,
        gallery: Gallery,
        k: int,
        options: SearchOptions = SearchOptions(),  # noqa: B008
        min_confidence: float | None = None,
        as_json: bool = False,
    ) -> None:
        self.gallery = gallery
        self.k = k
        self.options = options
        self.min_confidence = min_confidence
        self.as_json = as_json
        self.view_count = gallery.state.view_count
        self.results: Sequence[Result] = ()
        self._typed = True
        self._explained = False

    def run(self) -> None:
        """Ask and answer until an empty line or Ctrl-D. Queries are remembered only until then."""
        from prompt_toolkit import PromptSession

        session: PromptSession[str] = PromptSession()
        print(WELCOME)
        with tempfile.TemporaryDirectory(prefix="leccr-") as folder:
            while True:
                try:
                    line = session.prompt(PROMPT).strip()
                except KeyboardInterrupt:
                    # Gives up the line, as in a shell.
                    continue
                except EOFError:
                    return
                if line in ("", ":quit"):
                    return
                self._answer(line, Path(folder))

    def answer(self, lines: Iterable[str]) -> None:
        """Answer lines that nobody types; each answer follows its query, and errors are kept out of the answers."""
        self._typed = False
        with tempfile.TemporaryDirectory(prefix="leccr-") as folder:
            for line in filter(None, lines):
                if line == ":quit":
                    return
                self._answer(line, Path(folder))
                sys.stdout.flush()

    def _answer(self, line: str, folder: Path) -> None:
        try:
            self._obey(line, folder)
        except UserError as error:
            print(shown(error), file=None if self._typed else sys.stderr)

    def _obey(self, line: str, folder: Path) -> None:
        if line == ":help":
            # Whatever reads the answers gets nothing else.
            print(f"{HELP}\n{explanation(self.view_count)}", file=None if self._typed else sys.stderr)
        elif line.split()[0] == ":open":
            open_in_viewer(self._picture(line, folder))
        elif line.split()[0] in (":filter", ":sort", ":words"):
            self._choose(*(line.split(maxsplit=1) + [""])[:2])
        elif line.startswith(":"):
            raise UserError(f"There is no command {line.split()[0]}; :help lists them.")
        else:
            self._search(line)

    def _choose(self, command: str, value: str) -> None:
        """Change which of the next answers are shown, or in which order."""
        if command == ":filter":
            parse_filter(value) if value else None
            self.options = dataclasses.replace(self.options, where=value or None)
        elif command == ":words":
            self.options = dataclasses.replace(self.options, words=weight_of_words(value))
        else:
            check_order(value or None)
            self.options = dataclasses.replace(self.options, sort=value or None)

    def _search(self, query: str) -> None:
        found = self.gallery.search(query, self.k, **vars(self.options))
        self.results = fitting(found, self.min_confidence)
        note_cost(self.options)
        [unknown] = self.gallery.encoder.unknown_shares([query])
        if self.as_json:
            print_json(query, self.results, unknown, nearest_of(found))
            return
        if not self._typed:
            print(f"\n{shown(query)}")
        note_unreadable(query, unknown)
        print_table(self.results, nearest_of(found))
        if not found:
            print(shown(nothing_matches(query, self.options.where)))
        elif self.results and not self._explained:
            note(explanation(self.view_count, words=any(result.words for result in self.results)), sys.stderr)
            note_calibration(self.results, self.gallery.encoder)
            self._explained = True

    def _picture(self, line: str, folder: Path) -> Path:
        """Return the file of the answer that `:open` names, or a copy of its thumbnail if the file cannot be opened.

        Raises:
            UserError: If there is no such answer, or it has no picture.
        """
        if not self.results:
            raise UserError("There are no answers to open yet; type a query first.")
        match = re.fullmatch(r":open\s+([0-9]{1,9})", line)
        if match is None or not 1 <= int(match[1]) <= len(self.results):
            raise UserError(f"Name one answer by its rank, from 1 to {len(self.results)}, such as :open 1.")
        result = self.results[int(match[1]) - 1]
        # An untrusted gallery must not make the system open anything but pictures and videos.
        file = existing_file(result.file, result.path)
        if file is not None and kind_of(file) is not None:
            return file.absolute()
        thumbnail = self.gallery.thumbnail(result)
        if thumbnail is None:
            raise UserError(f"{result.file or result.path} does not exist, and no thumbnail of it is stored.")
        copy = folder / f"{result.rank}-{result.number}.png"
        thumbnail.save(copy)
        return copy


def open_in_viewer(path: Path) -> None:
    """Open a picture or video with the program that the system has for it, without waiting for it to end.

    Raises:
        UserError: If there is no such program, or no screen.
    """
    if sys.platform == "win32":
        os.startfile(path)
        return
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    program = shutil.which(opener)
    if program is None:
        raise UserError(f"{path} cannot be shown here: there is no program {opener}.")
    if opener == "xdg-open" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError(f"{path} cannot be shown here: there is no screen.")
    subprocess.Popen(
        [program, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

"""Showing text of others on a terminal: names, descriptions, captions and what libraries and servers say.

Whatever such text holds, it can neither steer the terminal nor look like other lines of the output.
"""

import io
import json
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

# Control characters, those that turn the direction of writing, other line ends, and bytes that are not text.
_UNSHOWN = (
    r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f"
)
_FOREIGN = re.compile(f"[{_UNSHOWN}]")
# Lines and progress bars, which the program itself writes: the last moves up one line.
_WRITTEN = re.compile(rf"\x1b\[A|[{_UNSHOWN}]")
_OWN = ("\n", "\r", "\t", "\x1b[A")


def shown(text: Any) -> str:
    r"""Return text of others on one line, as it can be shown: characters that a terminal obeys become `\x1b` and so on.

    Bytes of a file name that are not text, which Python holds as surrogates, are shown as bytes: `\xff`.
    """
    return _FOREIGN.sub(lambda match: _escaped(match[0]), str(text))


def shown_names(names: Sequence[str], most: int = 3) -> str:
    """Return the first few of some names as they can be shown, for a sentence that counts them all."""
    return ", ".join(map(shown, names[:most])) + (" ..." if len(names) > most else "")


def json_line(content: Any) -> str:
    r"""Return content as one line of JSON that a terminal cannot obey, and that is read back exactly as it was."""
    text = json.dumps(content, ensure_ascii=False)
    return _FOREIGN.sub(lambda match: json.dumps(match[0])[1:-1] if match[0] != "\x7f" else "\\u007f", text)


def guard_output() -> None:
    """Let standard output and errors escape what a terminal would obey, and what their code page does not have.

    This is for programs whose every line goes to a person or a pipe; `shown` also keeps a name on its line.
    """
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


class _Guarded(io.TextIOWrapper):
    """A stream that escapes what it cannot or should not show."""

    def write(self, text: str) -> int:
        super().write(_WRITTEN.sub(lambda match: match[0] if match[0] in _OWN else _escaped(match[0]), text))
        return len(text)


def _guarded(stream: TextIO) -> Any:
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, _Guarded):
        return stream
    settings: dict[str, Any] = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    encoding = stream.encoding
    return _Guarded(stream.detach(), encoding, errors="backslashreplace", **settings)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # How Python holds the byte of a name that is not UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")

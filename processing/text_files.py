"""Text files that people made: captions, lists and descriptions, in UTF-8 or another encoding that says so itself."""

import codecs
from pathlib import Path

from .errors import UserError

# Those of UTF-32 first, because one of them begins like one of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Japanese, Korean and Chinese mails and old tables: only ASCII bytes, so that they pass for UTF-8.
_ESCAPES = (b"\x1b$", b"\x1b(")
ADVICE = (
    "save it as UTF-8 (in a spreadsheet “CSV UTF-8”), or convert it: `iconv -f OLD -t UTF-8`, where OLD is for example "
    "WINDOWS-1252, MACINTOSH, GB18030 or SHIFT_JIS"
)


def read_text(path: Path, content: bytes | None = None) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 or UTF-32 with its byte order mark, which is taken off.

    Other encodings cannot be told apart safely: the same bytes are letters in all of them.

    Args:
        path: The file.
        content: What it holds, if that is not what is on the disk.

    Raises:
        UserError: If it is in another encoding, or no text; the message names the file and the line.
    """
    content = path.read_bytes() if content is None else content
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise UserError(f"{path} is not whole {encoding.upper()} text; {ADVICE}.") from error
    return decoded(content.removeprefix(codecs.BOM_UTF8), path)


def is_encodable(text: str) -> bool:
    """Return whether a text is valid Unicode, which file names and arguments of the command line need not be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_wide_mark(beginning: bytes) -> bool:
    """Return whether a file that begins so is in UTF-16 or UTF-32, whose lines cannot be told by their bytes."""
    return any(beginning.startswith(mark) for mark in _MARKS)


def decoded(content: bytes, path: Path, line: int = 1) -> str:
    """Return bytes from a file as text.

    Args:
        content: UTF-8, without a byte order mark.
        path: The file, for the message.
        line: Number of the line that the bytes begin with.

    Raises:
        UserError: If they are not UTF-8 text.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = line + content.count(b"\n", 0, error.start)
        raise UserError(f"{path} is not UTF-8 text in line {number}; {ADVICE}.") from error
    if b"\0" in content:
        number = line + content.count(b"\n", 0, content.index(b"\0"))
        raise UserError(
            f"{path} has a NUL in line {number}, so it is UTF-16 without a byte order mark, or no text; {ADVICE}."
        )
    for escape in _ESCAPES:
        if escape in content:
            number = line + content.count(b"\n", 0, content.index(escape))
            raise UserError(f"{path} is not UTF-8 text in line {number}, but ISO-2022 (such as “JIS”); {ADVICE}.")
    return text

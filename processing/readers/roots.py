"""Which files a collection may name: regular ones below the folders that the user named, and no others."""

import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..images import is_picture

_ADDRESS = re.compile(r"(?i)(^|/)(file|https?|ftp|s3|gs|hf|data):")


class Roots:
    """Folders that files have to be in.

    A file of captions that came from elsewhere may name any file of this machine, whose content would then be copied
    into data that somebody publishes.

    Args:
        folders: The folders that were named on the command line; without any, every file may be named.
        skip_broken: Whether pictures that are none are left out later.
    """

    def __init__(self, folders: Iterable[str | Path], skip_broken: bool = False) -> None:
        self.skip_broken = skip_broken
        self.names = [str(folder) for folder in folders]
        self._folders = [Path(folder).resolve() for folder in self.names]

    def check(self, row: dict[str, Any]) -> None:
        """Raise UserError if a row's picture or video is outside, or is not a regular file; a missing one is all right.

        Args:
            row: A row of `processing.schema`, its picture as a path or as bytes.
        """
        path = (row.get("image") or {}).get("path") or row.get("video")
        if not path or not self._folders or (row.get("image") or {}).get("bytes") is not None:
            return
        advice = "correct the line, or leave it out"
        if "\0" in path:
            raise UserError(f"Row {row['id']!r} names a file with a NUL in its name; {advice}.")
        if _ADDRESS.search(path):
            raise UserError(f"Row {row['id']!r} names an address and not a file below {self.names[0]}; {advice}.")
        try:
            real = Path(path).resolve()
            if not any(real.is_relative_to(folder) for folder in self._folders):
                raise UserError(
                    f"Row {row['id']!r} names {path}, which is outside {' and '.join(self.names)}, or a link that "
                    "leads out: copy the file into it, or name its folder with --images or --videos."
                )
            mode = real.lstat().st_mode
        except FileNotFoundError:
            return
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"Row {row['id']!r} names {path}, which cannot be read: {reason}; {advice}.") from error
        if not stat.S_ISREG(mode) or (row.get("image") and not self.skip_broken and not is_picture(path)):
            raise UserError(
                f"Row {row['id']!r} names {path}, which is not a picture or video; {advice} (--skip-broken)."
            )

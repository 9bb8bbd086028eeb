"""What a PNG says about its picture, which may come after the pixels, without decoding these."""

import io
import struct
import zlib
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_MOST_BYTES = 4_000_000


def without_pixels(file: BinaryIO) -> BinaryIO:
    """Return a PNG's header and texts as a PNG without pixels; chunks that are too long, and broken ends, are left out.

    Args:
        file: A PNG, read from its beginning.
    """
    file.seek(len(SIGNATURE))
    kept, left = [SIGNATURE], _MOST_BYTES
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind in _KEPT and length <= left:
            kept += [header, file.read(length + 4)]
            left -= length
        else:
            file.seek(length + 4, io.SEEK_CUR)
    end = [struct.pack(">I4sI", 0, kind, zlib.crc32(kind)) for kind in (b"IDAT", b"IEND")]
    return io.BytesIO(b"".join(kept + end))

"""Files that mean harm."""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image as PillowImage

SCRIPT = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"


def huge_png(side: int = 17_400) -> bytes:
    """Return a valid black PNG of 300 million pixels in a few dozen kilobytes."""
    row = b"\0" * (1 + (side + 7) // 8)
    packed = zlib.compressobj(9)
    data = b"".join(packed.compress(row) for _ in range(side)) + packed.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def png(colour: str = "red", size: tuple[int, int] = (32, 32)) -> bytes:
    """Return a harmless picture."""
    stream = io.BytesIO()
    PillowImage.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def jpeg() -> bytes:
    """Return a harmless photograph."""
    stream = io.BytesIO()
    PillowImage.effect_noise((300, 200), 60).save(stream, "JPEG")
    return stream.getvalue()


def write(folder: Path, name: str, content: bytes) -> str:
    """Write an upload as the server would, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return str(folder / name)

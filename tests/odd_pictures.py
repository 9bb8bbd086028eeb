"""Pictures as cameras, scanners and editors really write them: odd modes, depths and EXIF data."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image, ImageCms

ORIENTATION, MAKE, X_RESOLUTION, EXPOSURE, GPS = 0x0112, 0x010F, 0x011A, 0x829A, 0x8825
ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the file of a picture."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def ramp(width: int = 64, height: int = 16) -> Image.Image:
    """Return a grey picture that rises from black on the left to white on the right."""
    row = np.linspace(0, 255, width).round().astype(np.uint8)
    return Image.fromarray(np.tile(row, (height, 1)))


def corners(mode: str = "RGB") -> Image.Image:
    """Return a picture, 40 wide and 20 high, black but for its upper left quarter, which is white."""
    image = Image.new("L", (40, 20))
    image.paste(255, (0, 0, 20, 10))
    return image.convert(mode)


def exif(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """Return EXIF data of entries (tag, type, count, four bytes of value or place), which need not be right."""
    body = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in sorted(entries))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


def short(value: int) -> bytes:
    """Return a value of an EXIF entry."""
    return struct.pack("<HH", value, 0)


ODD_ENTRIES = {
    "resolution as text": (X_RESOLUTION, ASCII, 4, b"72/1"),
    "resolution as a number": (X_RESOLUTION, SHORT, 1, short(72)),
    "maker as numbers": (MAKE, SHORT, 2, b"\1\0\2\0"),
    "a place beyond the end": (X_RESOLUTION, RATIONAL, 1, struct.pack("<I", 10**9)),
    "a type that does not exist": (MAKE, 99, 1, bytes(4)),
    "exposure as bytes": (EXPOSURE, UNDEFINED, 4, b"\xff\xfe\xfd\xfc"),
    "GPS that leads nowhere": (GPS, LONG, 1, struct.pack("<I", 10**8)),
    "a count beyond all": (MAKE, ASCII, 2**32 - 1, bytes(4)),
}


def lab_ramp() -> Image.Image:
    """Return the ramp in LAB."""
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    shown = ImageCms.applyTransform(ramp().convert("RGB"), transform)
    assert shown is not None
    return shown


def ramps() -> dict[str, Image.Image]:
    """Return the ramp in every mode that Pillow has."""
    grey = ramp()
    wide = np.asarray(grey).astype(np.uint16) * 257
    modes = ["L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F"]
    pictures = {mode: grey.convert("RGBA" if mode == "PA" else mode).convert(mode) for mode in modes}
    pictures["La"], pictures["RGBa"] = pictures["LA"].convert("La"), pictures["RGBA"].convert("RGBa")
    pictures["LAB"] = lab_ramp()
    pictures["I;16"] = Image.fromarray(wide)
    pictures["I;16B"] = Image.frombytes("I;16B", grey.size, wide.astype(">u2").tobytes())
    pictures["I;16L"] = Image.frombytes("I;16L", grey.size, wide.astype("<u2").tobytes())
    pictures["I of 16 bits"] = Image.fromarray(wide.astype(np.int32))
    pictures["I of 32 bits"] = Image.fromarray((wide.astype(np.int64) * 30000 - 10**9).astype(np.int32))
    pictures["F up to one"] = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    pictures["F of 16 bits"] = Image.fromarray(wide.astype(np.float32))
    pictures["F below zero"] = Image.fromarray(np.asarray(grey).astype(np.float32) / 100 - 1)
    return pictures


def ramp_files() -> dict[str, bytes]:
    """Return the ramp as files of unusual depths and kinds."""
    shown = ramps()
    return {
        "16-bit PNG": encoded(shown["I;16"]),
        "16-bit TIFF": encoded(shown["I;16"], "TIFF"),
        "16-bit TIFF, big-endian": encoded(shown["I;16B"], "TIFF"),
        "32-bit TIFF": encoded(shown["I of 16 bits"], "TIFF"),
        "floating-point TIFF": encoded(shown["F up to one"], "TIFF"),
        "16-bit PGM": b"P5 64 16 65535\n" + (np.asarray(ramp()).astype(">u2") * 257).tobytes(),
        "10-bit PGM": b"P5 64 16 1023\n" + (np.asarray(ramp()).astype(np.float64) * 1023 / 255).astype(">u2").tobytes(),
        "CMYK JPEG": encoded(shown["CMYK"], "JPEG", quality=95),
        "CMYK TIFF": encoded(shown["CMYK"], "TIFF"),
        "LAB TIFF": encoded(shown["LAB"], "TIFF"),
        "YCbCr TIFF": encoded(shown["YCbCr"], "TIFF", compression="jpeg", quality=95),
        "grey JPEG 2000": encoded(shown["L"], "JPEG2000"),
        "lossless WebP": encoded(shown["RGBA"], "WEBP", lossless=True),
        "white is zero": _white_is_zero(),
    }


def _white_is_zero() -> bytes:
    """Return a 16-bit TIFF in which zero is white."""
    inverted = Image.fromarray((255 - np.asarray(ramp()).astype(np.uint16)) * 257)
    content = bytearray(encoded(inverted, "TIFF"))
    place = content.index(struct.pack("<HHI", 262, SHORT, 1))
    content[place + 8 : place + 10] = b"\0\0"
    return bytes(content)

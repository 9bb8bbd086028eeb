"""Which files count as pictures and as videos, by their endings in upper or lower case: what the decoders can open."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from .errors import missing_extra
from .pictures_leccr import image_suffixes

# What FFmpeg opens is decided by content, and its own list has endings of texts and music, too.
_VIDEOS = (
    ".mp4 .m4v .mov .qt .3gp .3g2 .3gpp .webm .mkv .avi .divx .mpg .mpeg .mpe .m1v .m2v .mpv .vob .ts "
    ".mts .m2ts .m2t .mod .tod .wmv .asf .flv .f4v .ogv .ogm .mxf .dv .mjpg .mjpeg .y4m .nut .rm .rmvb "
    ".ivf"
)
VIDEO_SUFFIXES = frozenset(_VIDEOS.split())
EXAMPLES = ".jpg, .png, .webp, .heic, .mp4 or .mov"
"""Endings to show in messages; the whole list would fill the screen."""

_COMPANIONS = (
    "captions.csv captions.jsonl descriptions.jsonl metadata.csv metadata.jsonl thumbs.db desktop.ini .ds_store "
    ".leccrignore"
)
COMPANIONS = frozenset(_COMPANIONS.split())
"""Files, in lower case, that stand next to pictures and are not mentioned when they are left out."""

_HEIC = {".heic", ".heif", ".heics", ".heifs", ".hif"}
_OTHERS = (
    ".jxl .jxr .wdp .svg .eps .ps .ai .pdf .wmf .emf .xcf .exr .hdr .cr2 .cr3 .crw .nef .nrw .arw .srf "
    ".sr2 .dng .raf .orf .rw2 .pef .srw .x3f .raw .avif .webp .jp2 .j2k"
)
_OTHER_PICTURES = frozenset(_OTHERS.split())


def is_image_name(name: str | PurePath) -> bool:
    """Return whether a file is a picture by its ending."""
    return PurePath(name).suffix.lower() in image_suffixes()


def is_video_name(name: str | PurePath) -> bool:
    """Return whether a file is a video by its ending."""
    return PurePath(name).suffix.lower() in VIDEO_SUFFIXES


def explain_left_out(names: Iterable[str | PurePath]) -> list[str]:
    """Return sentences that count, by ending, the files that are neither pictures nor videos, and say what to do.

    Args:
        names: Names of the files that were left out; those of captions and the like do not count.
    """
    counts = Counter(PurePath(name).suffix.lower() for name in names if PurePath(name).name.lower() not in COMPANIONS)
    heic = {suffix: count for suffix, count in counts.items() if suffix in _HEIC}
    pictures = {suffix: count for suffix, count in counts.items() if suffix in _OTHER_PICTURES}
    others = Counter({suffix: count for suffix, count in counts.items() if suffix not in {*heic, *pictures}})
    sentences = []
    if heic:
        sentences.append(f"Left out {_counted(heic)}. {missing_extra('heic', 'Opening them')}")
    if pictures:
        them = "it" if sum(pictures.values()) == 1 else "them"
        sentences.append(f"Left out {_counted(pictures)} that Pillow here cannot open; convert {them} to JPEG or PNG.")
    if others:
        what = "neither a photo nor a video" if others.total() == 1 else "neither photos nor videos"
        sentences.append(f"Left out {_counted(others)}: {what}.")
    return sentences


def _counted(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    parts = [f"{count} {_escaped(suffix) or 'without one'}" for suffix, count in sorted(counts.items())]
    shown = ", ".join(parts[:20]) + (", ..." if len(parts) > 20 else "")
    return f"{total} file{'' if total == 1 else 's'} by ending ({shown})"


def _escaped(suffix: str) -> str:
    return suffix.encode("ascii", "backslashreplace").decode() if suffix.isprintable() else repr(suffix)[1:-1]

"""A picture of queries and their answers: one row per query, the best images from left to right."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont, ImageOps

from processing.pictures_leccr import visible_picture

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Color = tuple[int, int, int]

MARGIN, GAP, LABEL_WIDTH, THUMBNAIL, FRAME, CAPTION = 36, 18, 300, 168, 5, 30
HEADER = 96
ROW = THUMBNAIL + CAPTION + 2 * GAP
BACKGROUND: Color = (250, 250, 248)
CARD: Color = (238, 238, 234)
RULE: Color = (226, 226, 221)
INK: Color = (32, 35, 40)
MUTED: Color = (112, 117, 125)
GREEN: Color = (34, 150, 84)
WHITE: Color = (255, 255, 255)

# File names, which Pillow looks up in the font folders of Linux, macOS and Windows, with the face in a collection.
LATIN_FONTS = (
    ("NotoSans-Regular.ttf", 0),
    ("DejaVuSans.ttf", 0),
    ("LiberationSans-Regular.ttf", 0),
    ("Helvetica.ttc", 0),
    ("segoeui.ttf", 0),
    ("Arial.ttf", 0),
    ("arial.ttf", 0),
)
CHINESE_FONTS = (
    ("NotoSansCJK-Regular.ttc", 2),
    ("NotoSansCJK-VF.ttc", 2),
    ("NotoSansSC-Regular.otf", 0),
    ("NotoSansCJKsc-Regular.otf", 0),
    ("SourceHanSansSC-Regular.otf", 0),
    ("wqy-microhei.ttc", 0),
    ("wqy-zenhei.ttc", 0),
    ("DroidSansFallbackFull.ttf", 0),
    ("PingFang.ttc", 0),
    ("Hiragino Sans GB.ttc", 0),
    ("STHeiti Light.ttc", 0),
    ("msyh.ttc", 0),
    ("simsun.ttc", 0),
    ("Arial Unicode.ttf", 0),
)
JAPANESE_FONTS = (
    ("NotoSansCJK-Regular.ttc", 0),
    ("NotoSansCJK-VF.ttc", 0),
    ("NotoSansJP-Regular.otf", 0),
    ("NotoSansCJKjp-Regular.otf", 0),
    ("SourceHanSansJP-Regular.otf", 0),
    ("ipagp.ttf", 0),
    ("TakaoPGothic.ttf", 0),
    ("ヒラギノ角ゴシック W3.ttc", 0),
    ("YuGothR.ttc", 0),
    ("meiryo.ttc", 0),
    ("msgothic.ttc", 0),
)
NO_CHARACTER = "\U0010ffff"

# In scripts without spaces a line may end after any character, but not before closing punctuation.
UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
CLOSING = r"\u3001\u3002\u300d\u300f\u3011\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f"
WORD = re.compile(rf"[{UNSPACED}][{CLOSING}]*|[^\s{UNSPACED}]+|\s+")


@dataclass(frozen=True)
class ContactRow:
    """One query and its answers.

    Attributes:
        query: The text that was searched for, in any script.
        language: Its language code, for example `"ja"`.
        images: The answers, best first.
        scores: One score per image.
        correct: Index in `images` of the right one; None if it is not among them or not known.
        gloss: What the query says in English, shown below it, and instead of it if this machine has no font for the
            query's script.
        note: A text next to the language, for example the rank of the right image.
        confidences: How sure each answer is, from 0 to 1; None for those that have none.
    """

    query: str
    language: str
    images: Sequence[Image.Image]
    scores: Sequence[float]
    correct: int | None = None
    gloss: str | None = None
    note: str | None = None
    confidences: Sequence[float | None] = ()


def contact_sheet(rows: Sequence[ContactRow], title: str = "One query per row, best answers first") -> Image.Image:
    """Draw the rows below a title. The right image of a row has a green frame and a tick.

    Args:
        rows: The queries; they may have different numbers of images.
        title: One line, cut if it is too long.

    Returns:
        An RGB picture, 234 pixels high per row, wide enough for the longest row.

    Raises:
        ValueError: If there is no row, a row has no image or not one score per image, or `correct` is
            not the index of one of them.
    """
    if not rows:
        raise ValueError("A contact sheet needs at least one row.")
    for number, row in enumerate(rows):
        _check(row, number)
    columns = max(len(row.images) for row in rows)
    left = MARGIN + LABEL_WIDTH + GAP
    width = left + columns * (THUMBNAIL + GAP) - GAP + MARGIN
    sheet = Image.new("RGB", (width, HEADER + len(rows) * ROW + MARGIN // 2), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    title_font = font_for(title, "en", 26) or ImageFont.load_default(26)
    draw.text((MARGIN, 26), _cut(title, title_font, width - 2 * MARGIN), fill=INK, font=title_font)
    legend = _legend(rows)
    if legend:
        legend_font = _plain_font(15)
        draw.text((MARGIN, 62), _cut(legend, legend_font, width - 2 * MARGIN), fill=MUTED, font=legend_font)
    for number, row in enumerate(rows):
        top = HEADER + number * ROW
        draw.line((MARGIN, top, width - MARGIN, top), fill=RULE, width=1)
        _draw_label(sheet, row, (MARGIN, top + GAP))
        confidences = row.confidences or [None] * len(row.images)
        answers = zip(row.images, row.scores, confidences, strict=True)
        for column, (image, score, confidence) in enumerate(answers):
            position = (left + column * (THUMBNAIL + GAP), top + GAP)
            _draw_answer(sheet, image, _figures(score, confidence), position, is_correct=column == row.correct)
    return sheet


def _legend(rows: Sequence[ContactRow]) -> str:
    frames = any(row.correct is not None for row in rows)
    sure = any(confidence is not None for row in rows for confidence in row.confidences)
    parts = ["Green frame: the image that the query belongs to."] if frames else []
    if frames or sure:
        parts.append(f"Below each image: its score{', and how sure the answer is, from 0 to 1' if sure else ''}.")
    return " ".join(parts)


def _figures(score: float, confidence: float | None) -> str:
    return f"{score:.3f}" if confidence is None else f"{score:.3f}, sure {confidence:.2f}"


def _check(row: ContactRow, number: int) -> None:
    if not row.images or len(row.images) != len(row.scores):
        raise ValueError(
            f"Row {number} of the contact sheet has {len(row.images)} images and {len(row.scores)} scores; "
            "it needs at least one image and one score for each."
        )
    if row.correct is not None and not 0 <= row.correct < len(row.images):
        raise ValueError(
            f"Row {number} of the contact sheet calls image {row.correct} correct, but has {len(row.images)} images; "
            "give None if the right one is not shown."
        )


def _draw_label(sheet: Image.Image, row: ContactRow, position: tuple[int, int]) -> None:
    left, top = position
    draw = ImageDraw.Draw(sheet)
    code_font = _plain_font(15)
    code = _cut(f"{row.language}, {row.note}" if row.note else row.language, code_font, LABEL_WIDTH - 20)
    code_width = round(code_font.getlength(code)) + 20
    _paste_rounded(sheet, Image.new("RGB", (code_width, 26), INK), (left, top), radius=13)
    draw.text((left + code_width / 2, top + 13), code, fill=WHITE, font=code_font, anchor="mm")
    top += 40
    for text, size, color, max_lines in _label_texts(row):
        font = font_for(text, row.language, size) or ImageFont.load_default(size)
        for line in _wrap(text, font, LABEL_WIDTH, max_lines):
            draw.text((left, top + size), line, fill=color, font=font, anchor="ls")
            top += round(size * 1.4)
        top += 6


def _label_texts(row: ContactRow) -> list[tuple[str, int, Color, int]]:
    """Return text, font size, colour and most lines of each part: the query and its gloss, or what can be drawn."""
    gloss = " ".join((row.gloss or "").split())
    if font_for(row.query, row.language, 20) is None:
        if not gloss:
            return [(f"(no font here for this query in {row.language})", 15, MUTED, 3)]
        return [(gloss, 20, INK, 4), (f"in English: no font here for {row.language}", 15, MUTED, 1)]
    parts = [(" ".join(row.query.split()), 20, INK, 3)]
    if gloss and gloss != row.query:
        parts.append((gloss, 15, MUTED, 2))
    return parts


def _draw_answer(
    sheet: Image.Image, image: Image.Image, figures: str, position: tuple[int, int], is_correct: bool
) -> None:
    left, top = position
    if is_correct:
        side = THUMBNAIL + 2 * FRAME
        _paste_rounded(sheet, Image.new("RGB", (side, side), GREEN), (left - FRAME, top - FRAME), radius=10 + FRAME)
    _paste_rounded(sheet, _thumbnail(image), position, radius=10)
    if is_correct:
        _paste_rounded(sheet, _tick(32), (left + THUMBNAIL - 38, top + 6), radius=16)
    ImageDraw.Draw(sheet).text(
        (left + THUMBNAIL / 2, top + THUMBNAIL + FRAME + 14),
        figures,
        fill=GREEN if is_correct else MUTED,
        font=_plain_font(15),
        anchor="mm",
    )


def _thumbnail(image: Image.Image) -> Image.Image:
    """Return the whole image, not cropped, in the middle of a square card."""
    image = ImageOps.contain(visible_picture(image), (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    card = Image.new("RGB", (THUMBNAIL, THUMBNAIL), CARD)
    card.paste(image, ((THUMBNAIL - image.width) // 2, (THUMBNAIL - image.height) // 2))
    return card


def _tick(size: int) -> Image.Image:
    """Return a white tick on green: not everybody can see which image is right by colour only."""
    large = Image.new("RGB", (4 * size, 4 * size), GREEN)
    points = [(x * 4 * size, y * 4 * size) for x, y in ((0.27, 0.52), (0.43, 0.68), (0.73, 0.34))]
    ImageDraw.Draw(large).line(points, fill=WHITE, width=size // 2, joint="curve")
    return large.resize((size, size), Image.Resampling.LANCZOS)


def _paste_rounded(sheet: Image.Image, image: Image.Image, position: tuple[int, int], radius: int) -> None:
    """Paste with rounded corners, drawn four times too large and shrunk because Pillow does not smooth edges."""
    mask = Image.new("L", (4 * image.width, 4 * image.height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), radius=4 * radius, fill=255)
    sheet.paste(image, position, mask.resize(image.size, Image.Resampling.LANCZOS))


def _wrap(text: str, font: Font, width: int, max_lines: int) -> list[str]:
    """Break into lines of at most `width` pixels; the last one ends in an ellipsis if the text is too long."""
    lines = [""]
    for word in WORD.findall(text):
        if lines[-1] and len(lines) < max_lines and font.getlength((lines[-1] + word).rstrip()) > width:
            lines.append("")
        if lines[-1] or not word.isspace():
            lines[-1] += word
    return [_cut(line.rstrip(), font, width) for line in lines]


def _cut(text: str, font: Font, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def _plain_font(size: int) -> Font:
    return font_for("en", "en", size) or ImageFont.load_default(size)


def font_for(text: str, language: str, size: int) -> Font | None:
    """Return the first font of this machine that has every character of the text, or None."""
    if language.startswith("zh"):  # before Japanese, as the same character can look different in the two languages
        names = LATIN_FONTS + CHINESE_FONTS + JAPANESE_FONTS
    else:
        names = LATIN_FONTS + JAPANESE_FONTS + CHINESE_FONTS
    for name, face in names:
        font = _load_font(name, face, size)
        if font is not None and _covers(font, text):
            return font
    default = ImageFont.load_default(size)
    return default if _covers(default, text) else None


@cache
def _load_font(name: str, face: int, size: int) -> Font | None:
    try:
        return ImageFont.truetype(name, size, index=face)
    except OSError:
        return None


def _covers(font: Font, text: str) -> bool:
    """Return whether no character of the text is drawn as the font's sign for a missing character."""
    missing = font.getmask(NO_CHARACTER)
    signs = {char: font.getmask(char) for char in set(text) if not char.isspace()}
    return all((sign.size, bytes(sign)) != (missing.size, bytes(missing)) for sign in signs.values())

import numpy as np
import pytest
from PIL import Image, ImageFont

from leccr.drawing import contact_sheet as module
from leccr.drawing.contact_sheet import (
    BACKGROUND,
    CARD,
    FRAME,
    GAP,
    GREEN,
    HEADER,
    LABEL_WIDTH,
    MARGIN,
    ROW,
    THUMBNAIL,
    ContactRow,
    contact_sheet,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


def make_row(count=3, correct=None, query="a red ball", language="en", gloss=None, color=RED):
    images = [Image.new("RGB", (40, 40), color) for _ in range(count)]
    return ContactRow(query, language, images, [0.9 - 0.1 * number for number in range(count)], correct, gloss)


def corner(row, column):
    """The upper left pixel of a thumbnail on the sheet."""
    return MARGIN + LABEL_WIDTH + GAP + column * (THUMBNAIL + GAP), HEADER + row * ROW + GAP


def count_pixels(sheet, color):
    return int((np.asarray(sheet) == color).all(axis=2).sum())


@pytest.fixture
def no_system_fonts(monkeypatch):
    monkeypatch.setattr(module, "_load_font", lambda name, face, size: None)


def test_every_image_has_its_place():
    sheet = contact_sheet([make_row(2), make_row(4, color=BLUE)])
    assert sheet.mode == "RGB"
    middle = THUMBNAIL // 2
    for row, count, color in ((0, 2, RED), (1, 4, BLUE)):
        for column in range(4):
            left, top = corner(row, column)
            found = sheet.getpixel((left + middle, top + middle))
            assert found == (color if column < count else BACKGROUND)
    left, top = corner(1, 3)
    assert left + THUMBNAIL < sheet.width and top + THUMBNAIL < sheet.height


def test_only_the_right_image_has_a_frame():
    sheet = contact_sheet([make_row(3, correct=1), make_row(3)])
    for row in range(2):
        for column in range(3):
            left, top = corner(row, column)
            edge = sheet.getpixel((left - FRAME // 2 - 1, top + THUMBNAIL // 2))
            assert edge == (GREEN if (row, column) == (0, 1) else BACKGROUND)


def test_nothing_is_green_without_a_right_image():
    assert count_pixels(contact_sheet([make_row(3)]), GREEN) == 0


def test_the_right_image_is_marked_by_shape_too():
    left, top = corner(0, 0)
    box = (left, top, left + THUMBNAIL, top + THUMBNAIL)
    marked = contact_sheet([make_row(1, correct=0)]).crop(box)
    plain = contact_sheet([make_row(1)]).crop(box)
    assert count_pixels(marked, (255, 255, 255)) > 20
    assert count_pixels(plain, (255, 255, 255)) == 0


def test_a_wide_image_is_shown_whole():
    image = Image.new("RGB", (80, 40), RED)
    image.paste(BLUE, (76, 0, 80, 40))
    thumbnail = module._thumbnail(image)
    assert thumbnail.size == (THUMBNAIL, THUMBNAIL)
    middle = THUMBNAIL // 2
    assert thumbnail.getpixel((2, middle)) == RED
    assert thumbnail.getpixel((THUMBNAIL - 3, middle)) == BLUE
    assert thumbnail.getpixel((middle, THUMBNAIL // 4 - 6)) == CARD
    assert thumbnail.getpixel((middle, THUMBNAIL * 3 // 4 + 6)) == CARD


def test_transparent_parts_are_white_as_everywhere():
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert module._thumbnail(image).getpixel((50, 50)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA"])
def test_other_modes_are_drawn(mode):
    assert module._thumbnail(Image.new("RGB", (30, 30), (255, 255, 255)).convert(mode)).getpixel((80, 80)) == (
        255,
        255,
        255,
    )


def test_a_photo_taken_sideways_is_turned():
    image = Image.new("RGB", (40, 80), RED)
    image.getexif()[0x0112] = 6
    assert module._thumbnail(image).getpixel((THUMBNAIL // 2, 5)) == CARD, "upright it is wider than high"


@pytest.mark.parametrize("score", [0.5, -0.123, float("nan")])
def test_scores_are_drawn_below_their_images(score):
    with_score = contact_sheet([ContactRow("a", "en", [Image.new("RGB", (9, 9))], [score])])
    other = contact_sheet([ContactRow("a", "en", [Image.new("RGB", (9, 9))], [0.777])])
    changed = np.argwhere((np.asarray(with_score) != np.asarray(other)).any(axis=2))
    left, top = corner(0, 0)
    assert len(changed)
    assert changed[:, 0].min() >= top + THUMBNAIL and changed[:, 0].max() < top - GAP + ROW
    assert changed[:, 1].min() >= left and changed[:, 1].max() < left + THUMBNAIL


def test_confidences_are_drawn_next_to_their_scores(monkeypatch):
    drawn = []
    monkeypatch.setattr(module.ImageDraw.ImageDraw, "text", lambda self, place, text, **how: drawn.append(text))
    images = [Image.new("RGB", (9, 9))] * 2
    contact_sheet([ContactRow("a", "en", images, [0.51, 0.4], confidences=[0.87, None])], "Answers")
    assert drawn[:2] == ["Answers", "Below each image: its score, and how sure the answer is, from 0 to 1."]
    assert drawn[-2:] == ["0.510, sure 0.87", "0.400"]


def test_a_script_without_a_font_falls_back_to_the_gloss(no_system_fonts):
    row = make_row(query="红色的球", language="zh", gloss="a red ball")
    texts = [text for text, *_ in module._label_texts(row)]
    assert texts == ["a red ball", "in English: no font here for zh"]
    bare = [text for text, *_ in module._label_texts(make_row(query="赤い玉", language="ja"))]
    assert bare == ["(no font here for this query in ja)"]
    plain = [text for text, *_ in module._label_texts(make_row(query="a red ball"))]
    assert plain == ["a red ball"], "the font that Pillow brings is enough"


def test_the_sheet_can_be_drawn_without_any_system_font(no_system_fonts):
    rows = [
        make_row(correct=0, query="红色的球", language="zh", gloss="a red ball"),
        make_row(query="赤い玉", language="ja"),
        make_row(query="červený míč", language="cs", gloss="a red ball"),
    ]
    sheet = contact_sheet(rows, title="Größe 大きさ")
    for row in range(3):
        label = sheet.crop((MARGIN, HEADER + row * ROW + GAP + 40, MARGIN + LABEL_WIDTH, HEADER + row * ROW + 150))
        assert count_pixels(label, BACKGROUND) < label.width * label.height, "some text is there"


def test_with_a_font_the_query_stands_above_its_gloss(monkeypatch):
    monkeypatch.setattr(module, "_covers", lambda font, text: True)
    row = make_row(query="红色的\n球", language="zh", gloss="a red ball")
    assert [text for text, *_ in module._label_texts(row)] == ["红色的 球", "a red ball"]


@pytest.mark.parametrize(("language", "face"), [("zh", 2), ("zh-TW", 2), ("ja", 0)])
def test_the_face_of_a_shared_font_follows_the_language(monkeypatch, language, face):
    asked = []

    def load(name, face, size):
        asked.append((name, face))
        return ImageFont.load_default(size) if "CJK" in name else None

    monkeypatch.setattr(module, "_load_font", load)
    monkeypatch.setattr(module, "_covers", lambda font, text: True)
    assert module.font_for("骨", language, 20) is not None
    assert asked[-1] == ("NotoSansCJK-Regular.ttc", face)


def test_a_font_is_known_to_lack_characters():
    font = ImageFont.load_default(20)
    assert module._covers(font, "A red ball, 3 x 5.")
    assert not module._covers(font, "A red 球")


def test_a_font_file_that_is_not_there_is_passed_over():
    assert module._load_font("there is no such font.ttf", 0, 20) is None


def test_lines_fit_and_keep_every_word():
    font = ImageFont.load_default(20)
    text = "two small brown dogs run over a green meadow behind an old house"
    lines = module._wrap(text, font, 200, 9)
    assert len(lines) > 2
    assert " ".join(lines) == text
    assert all(font.getlength(line) <= 200 for line in lines)


def test_too_much_text_ends_in_an_ellipsis():
    font = ImageFont.load_default(20)
    lines = module._wrap("two small brown dogs run over a green meadow", font, 150, 2)
    assert len(lines) == 2
    assert lines[1].endswith("...") and not lines[0].endswith("...")
    assert all(font.getlength(line) <= 150 for line in lines)


def test_text_without_spaces_is_broken_but_not_before_punctuation():
    font = ImageFont.load_default(20)
    text = "一只棕色的狗，在草地上。" * 3
    for width in range(60, 200, 7):
        lines = module._wrap(text, font, width, 99)
        assert "".join(lines) == text
        assert len(lines) > 1
        assert not any(line.startswith(("，", "。")) for line in lines)


def test_a_note_stands_beside_the_language():
    widths = []
    for note in (None, "rank 7 of 90", "word " * 99):
        sheet = contact_sheet([ContactRow("a", "en", [Image.new("RGB", (9, 9))], [0.5], note=note)])
        pill = np.asarray(sheet)[HEADER + GAP + 13, : MARGIN + LABEL_WIDTH + GAP]
        widths.append(np.flatnonzero((pill != BACKGROUND).any(axis=1)).max() - MARGIN)
    assert widths[0] < widths[1] < widths[2] <= LABEL_WIDTH


def test_a_long_title_is_cut_to_the_sheet():
    sheet = contact_sheet([make_row(1)], title="word " * 200)
    assert count_pixels(sheet.crop((sheet.width - MARGIN // 2, 0, sheet.width, HEADER)), BACKGROUND) == (
        MARGIN // 2 * HEADER
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ContactRow("a", "en", [], []), "Row 1 .* 0 images"),
        (ContactRow("a", "en", [Image.new("RGB", (4, 4))], [0.1, 0.2]), "1 images and 2 scores"),
        (make_row(2, correct=2), "calls image 2 correct"),
        (make_row(2, correct=-1), "calls image -1 correct"),
    ],
)
def test_bad_rows_are_named(row, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet([make_row(), row])


def test_a_sheet_without_rows_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([])

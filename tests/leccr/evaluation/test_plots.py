from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import leccr.drawing.figures
from leccr.drawing.contact_sheet import GREEN
from leccr.drawing.figures import in_font, line_styles
from leccr.evaluation.metrics import IMAGE_DIRECTIONS, SENTENCE_DIRECTIONS, retrieval_metrics
from leccr.evaluation.plots import (
    HIT_RATES,
    RANKS,
    WORST,
    hit_rates,
    percent,
    plot_evaluation,
    plot_hit_rates,
    plot_ranks,
    protocol,
    rank_edges,
    sample,
    worst_queries,
)
from leccr.evaluation.ranked import RankedQueries
from leccr.evaluation.ranks import retrieval_ranks
from tests.tiny_data import dataset, picture, row, target

from .drawn import texts_of

COLOURS = ("red", "lime", "blue", "white", "black")
ROWS = [row(name, captions=2, image=picture(name)) for name in COLOURS]
PROTOCOL = {"images": 5, "captions": 10, "data": "a/b/photos", "split": "test", "checkpoint": "runs/tiny"}


def ranking(language: str = "de", rows: list[dict[str, Any]] = ROWS, **fields: Any) -> RankedQueries:
    """Return a ranking where image i has the unit vector i, and its captions that of image i + 1 the more, the larger i
    is: images 0 to 2 are ranked first by their captions, and image 3 and 4 second.
    """
    views = torch.eye(len(rows))[:, None]
    owners = torch.arange(len(rows)).repeat_interleave(2)
    wrong = torch.eye(len(rows))[(owners + 1) % len(rows)]
    embeds = torch.eye(len(rows))[owners] + 0.4 * owners[:, None] * wrong
    queries = [f"{language} {rows[owner]['id']} {number}" for owner in range(len(rows)) for number in range(2)]
    ranks = retrieval_ranks(embeds, views, owners)
    result = {"language": language, **retrieval_metrics(ranks), "protocol": PROTOCOL}
    return RankedQueries(**{**vars(RankedQueries(result, queries, owners, embeds, views, ranks)), **fields})


class TestPlotEvaluation:
    def test_the_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        written = plot_evaluation(
            tmp_path / "new" / "plots", [ranking("de"), ranking("zh")], dataset(ROWS), IMAGE_DIRECTIONS
        )
        names = [HIT_RATES, RANKS, "similarity_de.png", "similarity_zh.png", WORST]
        assert [path.name for path in written] == names
        assert sorted(path.name for path in (tmp_path / "new" / "plots").iterdir()) == sorted(names)
        for path in written:
            with Image.open(path) as drawn:
                assert drawn.format == "PNG" and min(drawn.size) > 150
        assert ", ".join(names) in capsys.readouterr().out

    def test_titles_units_and_protocol_in_each(self, tmp_path: Path, figures: dict[str, Any]) -> None:
        plot_evaluation(tmp_path, [ranking()], dataset(ROWS), IMAGE_DIRECTIONS)
        for name, words in {
            HIT_RATES: ("Hit rate by language", "first k (%)", "k, answers looked at (count)", "image to text"),
            RANKS: ("Rank of the right answer", "queries (%)", "rank of the first right answer (1 is best)"),
            "similarity_de.png": ("Similarity of de queries and pictures", "no unit", "its number in the gallery"),
        }.items():
            said = texts_of(figures[name])
            assert all(word in said for word in words), said
            assert "Data: b/photos, test split, 5 pictures, 10 queries" in said.replace("\n", " ")
            assert "selected by: not recorded" in said

    def test_the_drawn_figures(self, tmp_path: Path, figures: dict[str, Any]) -> None:
        ranked = ranking()
        plot_evaluation(tmp_path, [ranked], dataset(ROWS), IMAGE_DIRECTIONS)
        for axis, direction in zip(figures[HIT_RATES].axes, IMAGE_DIRECTIONS):
            (line,) = axis.get_lines()
            assert line.get_xdata().tolist() == [1, 2, 3, 4, 5]
            assert line.get_ydata()[0] == pytest.approx(ranked.result[f"{direction}_hit_rate_1"])
            assert line.get_ydata()[4] == 100
        bars = [bar.get_height() for container in figures[RANKS].axes[0].containers for bar in container]
        # Ranks 1, 2, and 3 to 5: queries by text, then by image.
        assert bars == pytest.approx([60, 40, 0, 60, 0, 40])
        heat = figures["similarity_de.png"].axes[0].images[0].get_array()
        np.testing.assert_allclose(heat, ranked.text_embeds[::2].numpy())
        marks = [text.get_text() for text in figures["similarity_de.png"].axes[0].texts]
        assert marks == ["✓", "✓", "✓", "×", "×"]

    def test_they_read_without_colour(self, tmp_path: Path, figures: dict[str, Any]) -> None:
        plot_evaluation(tmp_path, [ranking(name) for name in ("en", "de", "zh")], None, IMAGE_DIRECTIONS)
        lines = figures[HIT_RATES].axes[0].get_lines()
        assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 3
        hatches = {container[0].get_hatch() for container in figures[RANKS].axes[0].containers}
        assert len(hatches) == 2
        for axis in figures["similarity_de.png"].axes[:1]:
            shades = axis.images[0].cmap(np.linspace(0, 1, 5))[:, :3]
            assert np.allclose(shades, shades[:, :1]) and (np.diff(shades[:, 0]) < 0).all()

    def test_text_alone(self, tmp_path: Path, figures: dict[str, Any]) -> None:
        said = {**PROTOCOL, "rows": 5, "source_captions": 9, "target_captions": 10}
        del said["images"], said["captions"]
        ranked = ranking()
        result = {"language": "de", **retrieval_metrics(ranked.ranks, SENTENCE_DIRECTIONS), "protocol": said}
        ranked = ranking(result=result)
        written = plot_evaluation(tmp_path, [ranked], None, SENTENCE_DIRECTIONS)
        assert [path.name for path in written] == [HIT_RATES, RANKS, "similarity_de.png"]
        assert "target to source" in texts_of(figures[HIT_RATES])
        assert "5 rows of captions" in texts_of(figures[RANKS])

    def test_many_languages(self, tmp_path: Path, figures: dict[str, Any]) -> None:
        ranked = [ranking(f"l{number}") for number in range(20)]
        plot_hit_rates(tmp_path / HIT_RATES, ranked, IMAGE_DIRECTIONS)
        assert len(figures[HIT_RATES].axes[0].get_lines()) == 20
        plot_ranks(tmp_path / RANKS, ranked[:4], IMAGE_DIRECTIONS)
        panels = figures[RANKS].axes
        assert [axis.get_visible() for axis in panels] == [True] * 4 + [False] * 2
        # Below the lowest of each column.
        assert [bool(axis.get_xlabel()) for axis in panels] == [False, True, True, True, False, False]

    def test_a_query_with_mathematical_signs_and_chinese(self, tmp_path: Path, figures: dict[str, Any]) -> None:
        queries = ["$x_1$ _{ costs $5", "一只狗在草地上", "x" * 200, "line\nbreak", *"abcdef"]
        plot_evaluation(tmp_path, [ranking("zh", queries=queries)], None, IMAGE_DIRECTIONS)
        labels = [label.get_text() for label in figures["similarity_zh.png"].axes[0].get_yticklabels()]
        assert labels[0] == "$x_1$ _{ costs $5" and labels[1] == "x" * 47 + "…"


class TestWorstQueries:
    @staticmethod
    def contact_rows(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> Any:
        rows: list[Any] = []
        monkeypatch.setattr("leccr.evaluation.plots.contact_sheet", lambda lines, title: rows.extend([*lines, title]))
        worst_queries(*arguments)
        return rows

    def test_the_right_picture_stands_before_the_wrong_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        *lines, title = self.contact_rows(monkeypatch, [ranking()], dataset(ROWS))
        assert title == "Worst queries, right picture first: b/photos, test split"
        assert [line.query for line in lines] == ["de white 0", "de white 1", "de black 0", "de black 1"]
        # The captions of white are nearer to black, and those of black to red.
        for line, colours in zip(lines, [("white", "black")] * 2 + [("black", "red")] * 2):
            assert [image.getpixel((0, 0)) for image in line.images] == [
                picture(name).getpixel((0, 0)) for name in colours
            ]
            assert line.correct == 0 and line.note == "rank 2 of 5" and line.scores[0] < line.scores[1]
        assert lines[0].gloss == "en white 0" and lines[1].gloss == "en white 1"

    def test_at_most_four_wrong_answers_and_a_dozen_queries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [row(str(number), captions=2) for number in range(9)]
        views = torch.eye(9)[:, None]
        lost = ranking(rows=rows, text_embeds=-torch.eye(9).repeat_interleave(2, 0), views=views)
        lost = ranking(
            rows=rows, text_embeds=lost.text_embeds, ranks=retrieval_ranks(lost.text_embeds, views, lost.owners)
        )
        *lines, _ = self.contact_rows(monkeypatch, [lost], dataset(rows))
        assert len(lines) == 12
        assert {len(line.images) for line in lines} == {5}

    def test_a_caption_that_translates_nothing_has_no_gloss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [
            row(name, target_captions=[target("de", f"de {name} {number}") for number in range(2)]) for name in COLOURS
        ]
        *lines, _ = self.contact_rows(monkeypatch, [ranking()], dataset(rows))
        assert [line.gloss for line in lines] == [None] * 4

    def test_nothing_to_show(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        blind = dataset([{**item, "image": None} for item in ROWS])
        assert worst_queries([ranking()], blind) is None
        exact = torch.eye(5).repeat_interleave(2, 0)
        views, owners = torch.eye(5)[:, None], torch.arange(5).repeat_interleave(2)
        perfect = ranking(text_embeds=exact, ranks=retrieval_ranks(exact, views, owners))
        assert worst_queries([perfect], dataset(ROWS)) is None
        assert WORST not in [
            path.name for path in plot_evaluation(tmp_path, [perfect], dataset(ROWS), IMAGE_DIRECTIONS)
        ]
        assert "There is no picture of worst queries" in capsys.readouterr().out

    def test_a_sheet_with_the_right_answer_framed(self) -> None:
        sheet = worst_queries([ranking()], dataset(ROWS))
        assert sheet is not None
        assert (np.asarray(sheet) == GREEN).all(axis=2).sum() > 1000


class TestNumbers:
    def test_hit_rates_are_those_of_the_table(self) -> None:
        ranks = torch.tensor([1, 3, 3, 12])
        assert hit_rates(ranks, 4) == [25, 25, 75, 75]

    @pytest.mark.parametrize(
        ("longest", "edges"),
        [
            (1, [(1, 1)]),
            (2, [(1, 1), (2, 2)]),
            (6, [(1, 1), (2, 2), (3, 5), (6, 10)]),
            (101, [(1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, 200)]),
        ],
    )
    def test_bars_cover_every_rank_once(self, longest: int, edges: list[tuple[int, int]]) -> None:
        assert rank_edges(longest) == edges

    @pytest.mark.parametrize(("share", "text"), [(0, ""), (0.05, "0.05"), (4.44, "4.4"), (9.99, "10"), (100.0, "100")])
    def test_percentages(self, share: float, text: str) -> None:
        assert percent(share) == text

    def test_a_sample_is_spread_over_the_images_with_captions(self) -> None:
        owners = torch.tensor([8, 8, 0, 2, 4, 6])
        texts, images = sample(owners, 3)
        assert images.tolist() == [0, 4, 8] and texts.tolist() == [2, 4, 0]
        assert sample(owners, 99)[1].tolist() == [0, 2, 4, 6, 8]

    def test_the_protocol_in_words(self, tmp_path: Path) -> None:
        (tmp_path / "training.json").write_text('{"selection": "best validation figure"}')
        ranked = ranking(result={**ranking().result, "protocol": {**PROTOCOL, "checkpoint": str(tmp_path)}})
        said = protocol([ranked, ranking(queries=["a"] * 1200)])
        assert "10 to 1,200 queries per language" in said and "selected by: best validation figure" in said

    @pytest.mark.parametrize("content", ["{", "[1]", "\ufeff"])
    def test_a_broken_report_of_the_training_is_named(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "training.json").write_text(content, encoding="utf-8")
        ranked = ranking(result={**ranking().result, "protocol": {**PROTOCOL, "checkpoint": str(tmp_path)}})
        assert "selected by: unknown (training.json is broken)" in protocol([ranked]).replace("\n", " ")


class TestDrawing:
    def test_styles_differ_in_more_than_colour(self) -> None:
        styles = line_styles(28)
        assert len({(style["linestyle"], style["marker"]) for style in styles}) == 28
        first = [style["color"] for style in line_styles(6)]
        luminance = [0.3 * red + 0.59 * green + 0.11 * blue for red, green, blue, _ in first]
        assert luminance == sorted(luminance) and luminance[-1] - luminance[0] > 0.5

    def test_a_text_without_a_font_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leccr.drawing.figures, "font_for", lambda text, language, size: None)
        text, font = in_font("一只狗", "zh", 8)
        assert text == "(no font here for this text in zh)" and font.get_size() == 8


def test_videos_show_a_frame(tmp_path: Path) -> None:
    from leccr.evaluation.plots import _picture
    from tests.videos import write_video

    assert _picture({"id": "v", "image": None, "video": str(tmp_path / "none.mp4")}) is None
    write_video(tmp_path / "clip.mp4")
    frame = _picture({"id": "v", "image": None, "video": str(tmp_path / "clip.mp4")})
    assert frame is not None and frame.mode == "RGB"

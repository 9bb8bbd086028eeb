import json
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from leccr.gallery import Gallery
from leccr.gallery.results import UnreadableQueryWarning
from tests.leccr.gallery.tiny_gallery import run


def test_a_table(built: Path) -> None:
    result = run("search", built / "gallery", "de red 1", "-k", 3)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "confidence", "file", "answered", "by", "description"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3"]
    expected = Gallery.open(built / "gallery").search("de red 1", 3)
    for line, best in zip(lines[1:], expected):
        assert line.split()[1:4] == [f"{best.score:.4f}", f"{best.confidence:.2f}", best.path]
        assert f"{best.answered_by} of 2" in line
        assert (best.description or "") in line


def test_a_query_needs_no_quotes(built: Path) -> None:
    assert (
        run("search", built / "gallery", "de", "red", "1").stdout == run("search", built / "gallery", "de red 1").stdout
    )


def test_json(built: Path) -> None:
    result = run("search", built / "gallery", "de red 1", "--json", "-k", 2, "--filter", "path~holiday", "--words", 0)
    record = json.loads(result.stdout)
    assert record["query"] == "de red 1"
    first, second = record["results"]
    assert first["score"] >= second["score"]
    assert first["file"] == str(built / "photos" / first["path"])
    assert first["time"].startswith("20") and first["time"].endswith("+00:00")
    assert {"rank", "id", "kind", "view", "answered_by", "description", "size", "hash", "facts", "words"} <= set(first)


def test_many_queries_from_a_file(built: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text("\ufeffde red 1\n\n  zh blue 1 \r\n", encoding="utf-8")
    result = run("search", built / "gallery", "--queries", tmp_path / "queries.txt", "--json", "-k", 1)
    assert [json.loads(line)["query"] for line in result.stdout.splitlines()] == ["de red 1", "zh blue 1"]
    table = run("search", built / "gallery", "--queries", tmp_path / "queries.txt", "-k", 1).stdout
    assert "\nde red 1\nrank" in table and "\nzh blue 1\nrank" in table


def test_a_picture_of_the_answers(built: Path, tmp_path: Path) -> None:
    result = run("search", built / "gallery", "犬 blue 1", "--sheet", tmp_path / "out.png", "-k", 4)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == f"The answers as a picture: {tmp_path}/out.png."
    with PillowImage.open(tmp_path / "out.png") as sheet:
        assert sheet.height > 200
        assert len(sheet.convert("RGB").getcolors(10**6) or []) > 20
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_a_picture_as_the_query(built: Path) -> None:
    result = run("search", built / "gallery", "--image", built / "photos" / "green1.png", "-k", 1)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2


def test_lines_of_the_input_are_answered(built: Path) -> None:
    result = run("search", built / "gallery", "-k", 1, input="de red 1\n\nzh blue 1\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("rank") == 2
    assert "\nde red 1\nrank" in result.stdout


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_commands_of_the_prompt_work_in_a_pipe_too(
    built: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("leccr.gallery.prompt.open_in_viewer", lambda path: opened.append(path.name))
    lines = ":open 1\n:help\nde red 1\n:open 1\n:exit\n:quit\nnever asked\n"
    result = run("search", built / "gallery", "-k", 1, *options, input=lines)
    assert result.exit_code == 0 and len(opened) == 1, result.output
    # The answers are alone on the standard output.
    assert result.stdout == run("search", built / "gallery", "-k", 1, *options, input="de red 1\n").stdout
    assert result.stderr.startswith("There are no answers to open yet; type a query first.\nAny text  ")
    assert "There is no command :exit; :help lists them.\n" in result.stderr


def test_every_line_of_a_file_is_a_query(built: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text(":help\n")
    result = run("search", built / "gallery", "-k", 1, "--json", "--queries", tmp_path / "queries.txt")
    assert json.loads(result.stdout)["query"] == ":help"


def test_more_than_the_gallery_has_is_one_line_and_everything(built: Path) -> None:
    result = run("search", built / "gallery", "dog", "-k", 99)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 13
    assert result.stderr.splitlines()[0] == "99 items were requested, but the gallery has 12; all of them are shown."
    result = run("search", built / "gallery", "dog", "-k", 2, "--filter", "path~11.png")
    remark = "2 items were requested, but the filter path~11.png leaves 1; all of them are shown."
    assert result.stderr.splitlines()[0] == remark


def test_a_filter_that_leaves_nothing_is_one_line(built: Path) -> None:
    result = run("search", built / "gallery", "dog", "--filter", "kind=video")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No item matches the filter kind=video.\n")


def test_an_empty_gallery_is_one_line(own: Path) -> None:
    run("gallery", "remove", own / "gallery", "--filter", "size>0")
    result = run("search", own / "gallery", "dog")
    assert (result.exit_code, result.stderr) == (
        2,
        f"Error: The gallery {own}/gallery is empty; add pictures with `leccr gallery add`.\n",
    )


UNREADABLE = ["🐶🐶", "שלום עולם", "สุนัข", "de 🐶 犬犬 🐱"]


@pytest.mark.parametrize("query", UNREADABLE)
def test_what_the_model_cannot_read_is_told(built: Path, query: str) -> None:
    table = run("search", built / "gallery", query, "-k", 1)
    assert table.exit_code == 0 and "The model cannot read" in table.stderr and "vocabulary" not in table.stdout
    record = json.loads(run("search", built / "gallery", query, "-k", 1, "--json").stdout)
    assert record["unknown"] >= 0.5 and record["results"]
    with pytest.warns(UnreadableQueryWarning, match="The model cannot read") as found:
        Gallery.open(built / "gallery").search(query, 1)
    # Others, such as of an event loop that is collected meanwhile, may be among them.
    [told] = [warning for warning in found if warning.category is UnreadableQueryWarning]
    assert Path(told.filename).name == "test_search.py"


def test_what_it_can_read_is_not_remarked_upon(built: Path) -> None:
    assert "cannot read" not in run("search", built / "gallery", "de red 1").output
    assert json.loads(run("search", built / "gallery", "de red 1", "--json").stdout)["unknown"] == 0
    by_picture = run("search", built / "gallery", "--image", built / "photos" / "green1.png", "--json")
    assert "unknown" not in json.loads(by_picture.stdout)


def test_of_several_queries_those_are_named(built: Path) -> None:
    result = run("search", built / "gallery", "--json", "-k", 1, input="de red 1\n🐶\n")
    assert [json.loads(line)["unknown"] for line in result.stdout.splitlines()] == [0, 1]


@pytest.mark.parametrize("query", ["\u200b", "\u2060\ufe0f", "\u00ad"])
def test_a_query_that_nobody_can_see_is_empty(built: Path, query: str) -> None:
    result = run("search", built / "gallery", query)
    assert result.exit_code == 2 and "The query is empty" in result.stderr

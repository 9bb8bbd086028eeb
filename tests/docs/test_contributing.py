import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_each_question_is_answered_by_a_name_in_a_file() -> None:
    section = PAGE.split("\n## Where is …?\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| .*\? \| .*`([\w/]+\.py)`.* \| `(\w+)` \|$", section, re.MULTILINE)
    assert len(rows) == 10
    for file, name in rows:
        code = (REPOSITORY / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *(?:def|class) {name}\b", code, re.MULTILINE), (file, name)


def test_the_tables_of_the_layout_name_all_folders() -> None:
    section = PAGE.split("\n## Layout\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)/`", section))
    for parent in (REPOSITORY, REPOSITORY / "leccr"):
        packages = {path.parent.name for path in parent.glob("*/__init__.py")}
        assert packages - {"benchmarks"} <= named

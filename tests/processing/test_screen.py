import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.screen import json_line, shown

ROOT = Path(__file__).parents[2]
HOSTILE = {
    "a line that is forged": ("a.png\n1     0.9999  b.png", r"a.png\n1     0.9999  b.png"),
    "a line that is overwritten": ("a\rb", r"a\rb"),
    "a colour": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "the title of the window": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "a terminal's 8-bit command": ("\x9b2J", r"\x9b2J"),
    "text turned around": ("photo\u202egnp.exe", r"photo\u202egnp.exe"),
    "isolated direction": ("\u2066a\u2069", r"\u2066a\u2069"),
    "marks of direction": ("a\u200eb\u200fc\u061cd", r"a\u200eb\u200fc\u061cd"),
    "other line ends": ("a\u2028b\u2029c\x85d\x0be\x0cf", r"a\u2028b\u2029c\x85d\x0be\x0cf"),
    "bytes": (os.fsdecode(b"a\xff"), r"a\xff"),
    "half a pair": ("a\ud83d", r"a\ud83d"),
    "letters that nobody sees": ("a\U000e0041", r"a\U000e0041"),
    "a NUL, a tab and a backspace": ("a\0b\tc\bd", r"a\x00b\tc\x08d"),
    "delete": ("a\x7f", r"a\x7f"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_terminal_would_obey_is_escaped(name: str) -> None:
    text, expected = HOSTILE[name]
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text", ["Grüße 你好 こんにちは", "عربي עברית", "क्‍ष می‌خواهم", "👩‍👩‍👧 🇨🇭", "e\u0301", r"C:\new"]
)
def test_text_of_all_languages_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text


@given(st.text(st.characters(exclude_categories=())))
def test_json_is_exact_and_harmless(text: str) -> None:
    line = json_line({"text": text})
    assert json.loads(line) == {"text": text}
    assert shown(line) == line
    line.encode()


PROGRAM = """
import sys
from processing.screen import guard_output
guard_output()
print("\\x1b]0;owned\\x07 \\u202e")
print("caf\\xe9 \\u4f60 \\udcff")
print("\\x1b[2J", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("encoding", "second"),
    [("utf-8", "café 你 \\xff"), ("cp1252", "café \\u4f60 \\xff"), ("ascii", r"caf\xe9 \u4f60 \xff"),
     ("latin-1:strict", "café \\u4f60 \\xff"), ("utf-16-le", "café 你 \\xff")],
)  # fmt: skip
def test_no_stream_obeys_or_ends_in_an_error(encoding: str, second: str) -> None:
    variables = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, check=True)
    out, err = (stream.decode(encoding.partition(":")[0]) for stream in (done.stdout, done.stderr))
    assert out.splitlines() == [r"\x1b]0;owned\x07 \u202e", second]
    assert err.splitlines() == [r"\x1b[2J"]


UNBUFFERED = """
import sys
from processing.screen import guard_output
guard_output()
print("now")
sys.stdin.read()
"""


def test_unbuffered_output_stays_so() -> None:
    command = [sys.executable, "-u", "-c", UNBUFFERED]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdin is not None
        # The program waits for its input to end, so this would hang if the line were kept back.
        assert child.stdout.readline() == "now\n"
        child.stdin.close()

import subprocess
import sys
from importlib import metadata

import pytest

from leccr import errors as leccr_errors
from processing import errors
from processing.errors import UserError, missing_extra


def test_one_class_stands_for_bad_input() -> None:
    assert leccr_errors.UserError is errors.UserError
    assert issubclass(UserError, ValueError)


def test_a_missing_library_is_named_with_a_command_that_needs_no_published_leccr(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = [
        "torch>=2.6",
        'gradio<7,>=6.29; extra == "demo"',
        'py3langid>=0.3; extra == "demo"',
        'pymilvus>=3; extra == "milvus"',
        'milvus-lite>=3.2; sys_platform == "no such platform" and extra == "milvus"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: declared if name == "leccr" else None)
    error = missing_extra("demo", "The page")
    assert isinstance(error, UserError)
    assert isinstance(error, ImportError)
    assert str(error) == (
        "The page needs libraries that are not installed: pip install 'gradio<7,>=6.29' 'py3langid>=0.3'"
    )
    assert str(missing_extra("milvus", "It")).endswith(": pip install 'pymilvus>=3'")


def test_without_metadata_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert str(missing_extra("demo", "The page")).endswith(": pip install 'leccr[demo]'")


def test_every_extra_has_requirements_here() -> None:
    extras = metadata.metadata("leccr").get_all("Provides-Extra")
    assert extras is not None
    for extra in {"demo", "describe", "translate", "lora", "export", "plots", "video", "gallery", "milvus"}:
        assert extra in extras
        assert "leccr[" not in str(missing_extra(extra, "It"))


def test_the_error_and_the_package_load_nothing_heavy() -> None:
    program = (
        "import sys, processing, processing.errors\n"
        "assert set(processing.__all__) <= set(dir(processing))\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from processing import CaptionCollator, LeccrProcessor, RetrievalCollator\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does: a warning, such as a broken link or an unknown name, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_docstrings_make_the_reference(site: Path) -> None:
    page = (site / "reference" / "models.html").read_text(encoding="utf-8")
    for method in ("forward", "from_dual_encoder"):
        assert f'id="modeling_leccr.modeling_leccr.LeccrModel.{method}"' in page
    assert "Number K of slots" in page


def test_pages_kept_elsewhere_have_their_pictures_and_links(site: Path) -> None:
    page = (site / "benchmarks" / "RESULTS.html").read_text(encoding="utf-8")
    assert 'src="results/pretrained.png"' in page and (site / "benchmarks/results/pretrained.png").is_file()
    assert 'href="../getting-started.html#quickstart"' in page
    reference = (site / "reference" / "training.html").read_text(encoding="utf-8")
    assert 'id="leccr.recipes.load_recipe"' in reference

"""A hook for mkdocs: pages and pictures of the site that are kept elsewhere in the repository.

They have their repository's paths on the site, and the pages of `docs` those within `docs`. Links are written as they
hold in the repository, and changed here.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[1]
OTHER_PAGES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/RESULTS.md",
    "benchmarks/RESULTS-from-scratch.md",
    "benchmarks/results/*.png",
    "leccr/cross_modal_retrieval/README.md",
    "spaces/README.md",
)
DOCS = "docs/"
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)(?P<path>[^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the other pages and the pictures."""
    for pattern in OTHER_PAGES:
        for path in sorted(REPOSITORY.glob(pattern)):
            files.append(File.generated(config, path.relative_to(REPOSITORY).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    shown = page.file.src_uri
    stored = shown if (REPOSITORY / shown).is_file() else DOCS + shown

    def site_link(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(stored), link["path"]))
        return posixpath.relpath(target.removeprefix(DOCS), posixpath.dirname(shown) or ".")

    return _LINK.sub(site_link, markdown)

"""What a Hub keeps: repositories with their commits, branches and files, in memory."""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any

import yaml


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class File:
    content: bytes
    large: bool

    @property
    def oid(self) -> str:
        return hashlib.sha256(self.content).hexdigest() if self.large else git_oid(self.content)

    def entry(self, path: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(self.content), "oid": git_oid(self.content)}
        if self.large:
            entry["lfs"] = {"oid": self.oid, "size": len(self.content), "pointerSize": 134}
        return entry


@dataclass
class Repository:
    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    summaries: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, File], summary: str) -> str:
        self.summaries.append(summary)
        text = json.dumps([len(self.summaries), branch, {path: file.oid for path, file in files.items()}])
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Hub:
    """Everything on a Hub, and what was asked of it."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.renamed: dict[str, str] = {}
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.uploads: list[str] = []
        # Requests to break off: a test puts a pattern and a number of times.
        self.drops: dict[str, int] = {}
        self.lock = threading.Lock()

    def drop(self, pattern: str, times: int = 1) -> None:
        """Break off the next requests whose `METHOD path` the pattern fits."""
        self.drops[pattern] = times

    def drops_now(self, request: str) -> bool:
        with self.lock:
            for pattern, times in self.drops.items():
                if times and re.search(pattern, request):
                    self.drops[pattern] = times - 1
                    return True
        return False

    def files(self, name: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """Return the content of all files of a repository."""
        repository = self.repositories[kind, name]
        sha = repository.resolve(revision)
        assert sha is not None
        return {path: file.content for path, file in repository.commits[sha].items()}

    def edit(self, name: str, path: str, content: bytes, kind: str = "model") -> None:
        """Change a file as a person does on the website."""
        repository = self.repositories[kind, name]
        files = repository.commits[repository.branches["main"]]
        repository.commit("main", {**files, path: File(content, False)}, f"Edit {path}")


def problems_of_card(content: str) -> dict[str, list[dict[str, str]]]:
    """Return what the Hub says about a card's front matter."""
    found = re.match(r"\s*---\n(.*?)\n---\n", content, re.DOTALL)
    fields = yaml.safe_load(found.group(1)) if found else {}
    kinds = {"license": str, "library_name": str, "tags": list, "datasets": list}
    errors = [
        f'"{name}" must be {"a string" if kind is str else "an array"}'
        for name, kind in kinds.items()
        if name in fields and not isinstance(fields[name], kind)
    ]
    warnings = [] if fields else [{"message": "empty or missing yaml metadata in repo card"}]
    return {"errors": [{"message": error} for error in errors], "warnings": warnings}

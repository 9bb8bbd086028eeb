"""A Hub on this machine: the part of the Hub's HTTP protocol that publishing and loading use, kept in memory.

It answers as the Hub does where the client looks: error codes in headers, small files in the commit itself, large ones
through the LFS batch and an upload, `resolve` with a redirect. A path that it does not know is in `HubServer.problems`.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .hub_state import File, Hub, Refusal, Repository, problems_of_card

TOKEN = "hf_" + "t" * 34
READ_TOKEN = "hf_" + "r" * 34
LARGE = (".safetensors", ".sqlite", ".parquet", ".fp32", ".fp16", ".int8", ".onnx")
KINDS = {"models": "model", "datasets": "dataset"}


class HubServer(Hub):
    """The server; `url` is what `HF_ENDPOINT` has to be."""

    def __init__(self) -> None:
        super().__init__()
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        # Another host, as the Hub's storage is: a client must not follow there for metadata.
        self.storage = f"http://localhost:{self.httpd.server_port}/storage"


@contextmanager
def serving() -> Iterator[HubServer]:
    """Run a Hub for as long as this lasts."""
    hub = HubServer()
    threading.Thread(target=hub.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.httpd.shutdown()
        hub.httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing on the terminal; requests are kept in a list."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        request = f"{self.command} {self.path}"
        self.hub.requests.append(request)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.hub.drops_now(request):
            self.close_connection = True
            return self.connection.close()
        url = urlsplit(self.path)
        try:
            for method, pattern, answer in ROUTES:
                found = re.fullmatch(pattern, url.path)
                if found and self.command in method.split():
                    names = {name: unquote(value) for name, value in found.groupdict(default="").items()}
                    return answer(self, body, parse_qs(url.query), **names)
            self.hub.problems.append(request)
            raise Refusal(404, "", "No such route")
        except Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self.answer({"error": refusal.message}, refusal.status, {k: v for k, v in headers.items() if v})

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        for name, value in {"Content-Type": kind, **(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def token(self) -> str | None:
        """Return the token, after checking it as the Hub does: a wrong one is refused even for public files."""
        header = self.headers.get("Authorization")
        if header is None:
            return None
        token = header.removeprefix("Bearer ")
        if token not in (TOKEN, READ_TOKEN):
            raise Refusal(401, "", "Invalid credentials in Authorization header")
        return token

    def check_writing(self, name: str) -> None:
        token = self.token()
        if token is None:
            raise Refusal(401, "", "Invalid username or password.")
        if token == READ_TOKEN or name.partition("/")[0] != "org":
            raise Refusal(403, "", f"You don't have the rights to write to {name}")

    def repository(self, kind: str, name: str) -> Repository:
        name = self.hub.renamed.get(name, name)
        found = self.hub.repositories.get((kind, name))
        token = self.token()
        if found is None or (found.private and token is None):
            # To somebody without a token the Hub does not say whether there is such a repository.
            raise Refusal(401 if token is None else 404, "RepoNotFound", "Repository not found")
        return found

    def commit_of(self, kind: str, name: str, revision: str) -> tuple[Repository, str]:
        repository = self.repository(kind, name)
        sha = repository.resolve(revision)
        if sha is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository, sha

    def harnesses(self, body: bytes, query: Any) -> None:
        self.answer({})

    # Repositories

    def create(self, body: bytes, query: Any) -> None:
        fields = json.loads(body)
        name = f"{fields['organization']}/{fields['name']}"
        self.check_writing(name)
        key = (fields.get("type") or "model", name)
        address = f"{self.hub.url}/{'datasets/' if key[0] == 'dataset' else ''}{name}"
        with self.hub.lock:
            if key in self.hub.repositories:
                return self.answer({"error": "You already created this repo", "url": address}, 409)
            private = fields.get("visibility") == "private" or fields.get("private") is True
            repository = self.hub.repositories[key] = Repository(private)
            repository.commit("main", {".gitattributes": File(b"*.safetensors filter=lfs\n", False)}, "initial commit")
        self.answer({"url": address, "name": name})

    def branch(self, body: bytes, query: Any, kind: str, name: str, revision: str) -> None:
        self.check_writing(name)
        repository = self.repository(KINDS[kind], name)
        if revision in repository.branches:
            raise Refusal(409, "", "Reference already exists")
        repository.branches[revision] = repository.branches["main"]
        self.answer({})

    def info(self, body: bytes, query: Any, kind: str, name: str, revision: str = "") -> None:
        repository, sha = self.commit_of(KINDS[kind], name, revision or "main")
        siblings = [{"rfilename": path} for path in repository.commits[sha]]
        self.answer({"id": name, "sha": sha, "private": repository.private, "siblings": siblings, "tags": []})

    def tree(self, body: bytes, query: Any, kind: str, name: str, revision: str, folder: str = "") -> None:
        repository, sha = self.commit_of(KINDS[kind], name, revision)
        prefix = f"{folder}/" if folder else ""
        entries = {path: file for path, file in repository.commits[sha].items() if path.startswith(prefix)}
        if folder and not entries:
            raise Refusal(404, "EntryNotFound", f"{folder} does not exist")
        recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
        files = [file.entry(path) for path, file in entries.items() if recursive or "/" not in path[len(prefix) :]]
        below = {path[len(prefix) :].partition("/")[0] for path in entries if "/" in path[len(prefix) :]}
        folders = [{"type": "directory", "path": prefix + part, "size": 0, "oid": "0" * 40} for part in sorted(below)]
        self.answer(files + folders)

    # Uploads

    def validate(self, body: bytes, query: Any) -> None:
        self.token()
        problems = problems_of_card(json.loads(body)["content"])
        self.answer(problems, 400 if problems["errors"] else 200)

    def preupload(self, body: bytes, query: Any, kind: str, name: str, revision: str) -> None:
        self.check_writing(name)
        repository, sha = self.commit_of(KINDS[kind], name, revision)
        commit = repository.commits[sha]
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": commit[file["path"]].oid if file["path"] in commit else None,
            }
            for file in json.loads(body)["files"]
        ]
        self.answer({"files": files})

    def batch(self, body: bytes, query: Any, name: str, kind: str = "") -> None:
        self.check_writing(name)
        objects = []
        for item in json.loads(body)["objects"]:
            oid = item["oid"]
            known = {"oid": oid, "size": item["size"]}
            if oid not in self.hub.stored:
                links = {"upload": f"{self.hub.storage}/{oid}", "verify": f"{self.hub.url}/verify/{oid}"}
                known["actions"] = {name: {"href": link, "header": {}} for name, link in links.items()}
            objects.append(known)
        self.answer({"transfer": "basic", "objects": objects})

    def no_xet(self, body: bytes, query: Any, kind: str, name: str, revision: str) -> None:
        raise Refusal(404, "", "This Hub has no Xet storage")

    def store(self, body: bytes, query: Any, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refusal(400, "", "The content does not fit its hash")
        self.hub.stored[oid] = body
        self.hub.uploads.append(oid)
        self.answer({})

    def verify(self, body: bytes, query: Any, oid: str) -> None:
        self.token()
        if len(self.hub.stored.get(oid, b"")) != json.loads(body)["size"]:
            raise Refusal(404, "", "Not uploaded")
        self.answer({})

    def commit(self, body: bytes, query: Any, kind: str, name: str, revision: str) -> None:
        self.check_writing(name)
        repository, sha = self.commit_of(KINDS[kind], name, revision)
        files, summary = dict(repository.commits[sha]), ""
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                summary = value["summary"]
                if value.get("parentCommit") not in (None, sha):
                    raise Refusal(412, "", "A commit has happened since. Please refresh and try again.")
            elif operation["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif operation["key"] == "lfsFile":
                files[value["path"]] = File(self.hub.stored[value["oid"]], True)
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
            else:
                raise Refusal(400, "", f"Unknown operation {operation['key']}")
        with self.hub.lock:
            made = repository.commit(revision, files, summary)
        self.answer({"success": True, "commitUrl": f"{self.hub.url}/{name}/commit/{made}", "commitOid": made})

    # Downloads

    def resolve(self, body: bytes, query: Any, name: str, revision: str, path: str, kind: str = "") -> None:
        if name in self.hub.renamed:
            target = self.path.replace(name, self.hub.renamed[name], 1)
            return self.answer(b"", 307, {"Location": target})
        repository, sha = self.commit_of(kind.removesuffix("s/") or "model", name, revision)
        file = repository.commits[sha].get(path)
        headers = {"X-Repo-Commit": sha}
        if file is None:
            headers |= {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            return self.answer({"error": "Entry not found"}, 404, headers)
        headers |= {"X-Linked-Etag": f'"{file.oid}"', "X-Linked-Size": str(len(file.content))}
        if file.large:
            return self.answer(b"", 302, {**headers, "Location": f"{self.hub.storage}/{file.oid}?signed=1"})
        cached = f"/api/resolve-cache/{kind or 'models/'}{name}/{sha}/{path}"
        self.answer(b"", 307, {**headers, "ETag": f'"{file.oid}"', "Location": cached})

    def cached(self, body: bytes, query: Any, kind: str, name: str, revision: str, path: str) -> None:
        repository, sha = self.commit_of(KINDS[kind], name, revision)
        file = repository.commits[sha][path]
        self.answer(file.content, headers={"ETag": f'"{file.oid}"', "X-Repo-Commit": sha})

    def fetch(self, body: bytes, query: Any, oid: str) -> None:
        content = self.hub.stored[oid]
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            return self.answer(content, headers={"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})
        start, end = int(found.group(1)), int(found.group(2) or len(content) - 1)
        headers = {"ETag": f'"{oid}"', "Content-Range": f"bytes {start}-{end}/{len(content)}"}
        self.answer(content[start : end + 1], 206, headers)


_NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
_API = rf"/api/(?P<kind>models|datasets)/{_NAME}"
_REVISION = r"(?P<revision>[^/]+)"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    # Whether the Hub can be reached; and once a day, the name that the client gives itself.
    ("HEAD", "/", lambda handler, body, query: handler.answer({})),
    ("GET", r"/api/agent-harnesses", _Handler.harnesses),
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("POST", rf"{_API}/branch/{_REVISION}", _Handler.branch),
    ("POST", rf"{_API}/preupload/{_REVISION}", _Handler.preupload),
    ("POST", rf"{_API}/commit/{_REVISION}", _Handler.commit),
    ("GET", rf"{_API}/xet-write-token/{_REVISION}", _Handler.no_xet),
    ("GET", _API, _Handler.info),
    ("GET", rf"{_API}/revision/{_REVISION}", _Handler.info),
    ("GET", rf"{_API}/tree/{_REVISION}(?:/(?P<folder>.+))?", _Handler.tree),
    ("POST", rf"/(?P<kind>datasets/)?{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/storage/(?P<oid>\w+)", _Handler.store),
    ("POST", r"/verify/(?P<oid>\w+)", _Handler.verify),
    ("GET HEAD", r"/storage/(?P<oid>\w+)", _Handler.fetch),
    ("GET HEAD", rf"/api/resolve-cache/(?P<kind>models|datasets)/{_NAME}/{_REVISION}/(?P<path>.+)", _Handler.cached),
    ("GET HEAD", rf"/(?P<kind>datasets/)?{_NAME}/resolve/{_REVISION}/(?P<path>.+)", _Handler.resolve),
]

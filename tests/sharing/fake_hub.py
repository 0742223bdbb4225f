"""A hub on this machine: the answers that huggingface_hub's own client asks for, in memory."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

import yaml

TOKEN = "hf_test"


class Hub(BaseHTTPRequestHandler):
    """Repositories, their commits and large files, of one server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Say nothing."""

    def answer(self, status, told=None, headers=None, body=None):
        """Send JSON, or bytes."""
        data = json.dumps(told if told is not None else {}).encode() if body is None else body
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def missing(self, code):
        """Refuse as the hub does."""
        self.answer(404, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def handle_any(self):
        """Read the request whole, note it, and answer it."""
        length = int(self.headers.get("Content-Length") or 0)
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        self.sent = self.chunks() if chunked else self.rfile.read(length)
        path = unquote(self.path.partition("?")[0])
        self.server.asked.append(f"{self.command} {path}")
        for method, pattern, act in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                act(self, *found.groups())
                return
        self.answer(501, {"error": f"{self.command} {path} is not known here"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815 (http.server calls them so)

    def chunks(self):
        """The body of a request without a length."""
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def allowed(self):
        """Whether the request has the token that writing needs."""
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.answer(401, {"error": "Invalid username or password."})
        return False

    def commit_of(self, repo, revision):
        """The commit that a revision names, answered for where there is none."""
        refs = self.server.repos.get(repo)
        if refs is None:
            return self.missing("RepoNotFound")
        commit = refs.get(revision, revision)
        return commit if commit in self.server.commits else self.missing("RevisionNotFound")

    def create(self):
        """Make a repository."""
        if self.allowed():
            told = json.loads(self.sent)
            repo = f"{told.get('organization') or 'someone'}/{told['name']}"
            empty = hashlib.sha1(repo.encode()).hexdigest()
            self.server.commits.setdefault(empty, {})
            self.server.repos.setdefault(repo, {"main": empty})
            self.server.private[repo] = told.get("visibility") == "private" or told.get("private")
            self.answer(200, {"url": f"{self.server.url}/{repo}", "name": repo, "id": repo})

    def validate(self):
        """Look at the YAML on top of a card."""
        content = json.loads(self.sent)["content"]
        tags = yaml.safe_load(content.split("---")[1])["tags"]
        errors = [] if all(isinstance(tag, str) for tag in tags) else [{"message": "tags"}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def branch(self, repo, name):
        """Make a branch."""
        if self.allowed():
            refs = self.server.repos[repo]
            refs.setdefault(name, refs["main"])
            self.answer(200)

    def info(self, repo, revision="main"):
        """Tell of a repository."""
        if commit := self.commit_of(repo, revision):
            names = [{"rfilename": name} for name in self.server.commits[commit]]
            self.answer(200, {"id": repo, "modelId": repo, "sha": commit, "siblings": names})

    def tree(self, repo, revision):
        """List its files."""
        if commit := self.commit_of(repo, revision):
            files = self.server.commits[commit].items()
            self.answer(200, [entry(name, data) for name, data in files])

    def preupload(self, repo, revision):
        """Say that tensors are large files."""
        if self.allowed():
            files = [
                {
                    "path": f["path"],
                    "shouldIgnore": False,
                    "oid": None,
                    "uploadMode": mode(f["path"]),
                }
                for f in json.loads(self.sent)["files"]
            ]
            self.answer(200, {"files": files})

    def batch(self, repo):
        """Say where large files go."""
        objects = [
            {**o, "actions": {"upload": {"href": f"{self.server.url}/lfs/{o['oid']}"}}}
            for o in json.loads(self.sent)["objects"]
        ]
        headers = {"Content-Type": "application/vnd.git-lfs+json"}
        self.answer(200, {"transfer": "basic", "objects": objects}, headers)

    def put(self, oid):
        """Take a large file."""
        assert hashlib.sha256(self.sent).hexdigest() == oid
        self.server.large[oid] = self.sent
        self.answer(200)

    def commit(self, repo, revision):
        """Make a commit of what was sent."""
        if not self.allowed():
            return
        refs = self.server.repos[repo]
        files = dict(self.server.commits[refs[revision]])
        for line in map(json.loads, self.sent.decode().splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            else:
                self.server.messages.append(value["summary"])
        made = hashlib.sha1(f"{repo}{len(self.server.commits)}".encode()).hexdigest()
        self.server.commits[made] = files
        refs[revision] = made
        url = f"{self.server.url}/{repo}/commit/{made}"
        self.answer(200, {"success": True, "commitOid": made, "commitUrl": url})

    def resolve(self, repo, revision, name):
        """Send a file."""
        if commit := self.commit_of(repo, revision):
            data = self.server.commits[commit].get(name)
            if data is None:
                self.missing("EntryNotFound")
                return
            etag = hashlib.sha256(data).hexdigest()
            headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}
            self.answer(200, headers=headers, body=data)


def mode(path):
    """How a file is sent."""
    return "lfs" if path.endswith((".safetensors", ".onnx")) else "regular"


def entry(name, data):
    """A file of a tree."""
    oid = hashlib.sha256(data).hexdigest()
    told = {"type": "file", "path": name, "size": len(data), "oid": oid[:40]}
    large = {"oid": oid, "size": len(data), "pointerSize": 130}
    return told | ({"lfs": large} if mode(name) == "lfs" else {})


REPO = r"([\w.-]+/[\w.-]+)"
ROUTES = [
    ({"POST"}, "/api/repos/create", Hub.create),
    ({"POST"}, "/api/validate-yaml", Hub.validate),
    ({"POST"}, f"/api/models/{REPO}/branch/(.+)", Hub.branch),
    ({"POST"}, f"/api/models/{REPO}/preupload/(.+)", Hub.preupload),
    ({"POST"}, f"/api/models/{REPO}/commit/(.+)", Hub.commit),
    ({"POST"}, rf"/{REPO}\.git/info/lfs/objects/batch", Hub.batch),
    ({"PUT"}, "/lfs/([0-9a-f]{64})", Hub.put),
    ({"GET"}, f"/api/models/{REPO}", Hub.info),
    ({"GET"}, f"/api/models/{REPO}/revision/(.+)", Hub.info),
    ({"GET"}, f"/api/models/{REPO}/tree/(.+)", Hub.tree),
    ({"GET", "HEAD"}, f"/{REPO}/resolve/([^/]+)/(.+)", Hub.resolve),
]


def serve():
    """A hub that listens on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    server.repos, server.commits, server.large, server.private = {}, {}, {}, {}
    server.asked, server.messages = [], []
    Thread(target=server.serve_forever, daemon=True).start()
    return server

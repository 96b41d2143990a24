"""Two clients under one face: ours, as a program over HTTP, and python-tuf, in this process."""

import os
import pathlib
import subprocess

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater
from urllib.parse import unquote


class Client:
    """A client with folders of its own."""

    def __init__(self, folder, root):
        self.metadata = pathlib.Path(folder, "metadata")
        self.targets = pathlib.Path(folder, "targets")
        self.metadata.mkdir(parents=True)
        self.targets.mkdir()
        self.init(root)

    def kept(self):
        """The metadata that is kept, by file name."""
        return {path.name: path.read_bytes() for path in self.metadata.glob("*.json")}

    def versions(self):
        import json
        from urllib.parse import unquote as plain
        return {plain(name.removesuffix(".json")): json.loads(content)["signed"]["version"]
                for name, content in self.kept().items()}

    def downloaded(self):
        return {path.name: path.read_bytes() for path in self.targets.iterdir()}


class Ours(Client):
    def __init__(self, folder, root, server, program):
        self.server, self.program, self.words = server, program, ""
        self.folder = pathlib.Path(folder)
        super().__init__(folder, root)

    def run(self, *arguments, faketime=None):
        command = [self.program, "--metadata-dir", str(self.metadata), *arguments]
        if faketime:
            command = ["faketime", faketime, *command]
        self.server.asked.clear()
        done = subprocess.run(command, stderr=subprocess.PIPE, timeout=60, check=False)
        self.words = done.stderr.decode(errors="replace").strip()
        if done.returncode not in (0, 1):
            raise AssertionError(f"exit code {done.returncode}: {self.words}")
        return done.returncode

    def init(self, root):
        path = self.folder / "initial_root.json"
        path.write_bytes(root)
        assert self.run("init", str(path)) == 0

    def refresh(self, faketime=None):
        return self.run("--metadata-url", f"{self.server.url}/metadata/", "refresh", faketime=faketime)

    def download(self, path, faketime=None):
        return self.run(
            "--metadata-url", f"{self.server.url}/metadata", "--target-name", path,
            "--target-dir", str(self.targets), "--target-base-url", f"{self.server.url}/targets/",
            "download", faketime=faketime)


class Fetcher(FetcherInterface):
    def __init__(self, repository):
        self.repository, self.asked = repository, []

    def _fetch(self, url):
        path = unquote(url.removeprefix("http://repository/")) if "/targets/" in url else (
            url.removeprefix("http://repository/"))
        self.asked.append(path)
        status, content = self.repository.get(path)
        if status != 200:
            raise DownloadHTTPError(f"status {status}", status)
        yield content


class Theirs(Client):
    def __init__(self, folder, root, repository):
        self.repository, self.words, self.asked = repository, "", []
        super().__init__(folder, root)

    def init(self, root):
        (self.metadata / "root.json").write_bytes(root)

    def run(self, path=None):
        fetcher = Fetcher(self.repository)
        self.asked, self.words = fetcher.asked, ""
        try:
            updater = Updater(
                str(self.metadata), "http://repository/metadata/", str(self.targets),
                "http://repository/targets/", fetcher=fetcher, bootstrap=None)
            updater.refresh()
            if path is None:
                return 0
            info = updater.get_targetinfo(path)
            if info is None:
                self.words = "not found"
                return 1
            if updater.find_cached_target(info) is None:
                updater.download_target(info)
            return 0
        except (RepositoryError, DownloadError, ValueError) as why:
            self.words = f"{type(why).__name__}: {why}"
            return 1

    def refresh(self):
        return self.run()

    def download(self, path):
        return self.run(path)


def program():
    """The client that is tested."""
    path = os.environ.get("SKERRY_TUF_CLIENT")
    if not path or not os.access(path, os.X_OK):
        raise SystemExit("SKERRY_TUF_CLIENT names no program; start this with tests/tuf/run")
    return path

"""What a case of the protocol gets, and the list of all cases. Used by protocol.py and cases/."""

import pathlib
import random

from clients import Ours, program
from repository import Repository

CASES = []


def case(function):
    CASES.append(function)
    return function


class Bench:
    """One repository, one client."""

    def __init__(self, folder, server, **options):
        self.server = server
        self.repo = server.repository = Repository(random.Random(1), **options)
        self.folder = pathlib.Path(folder)

    def client(self, root=None):
        root = root or self.repo.files["metadata/1.root.json"]
        return Ours(self.folder / "client", root, self.server, program())

    def asked(self):
        return self.server.metadata_asked()

    def targets_asked(self):
        return [path for path in self.server.asked if path.startswith("targets/")]

    def everything(self):
        rest = [role for role in self.repo.signed if role not in ("root", "timestamp", "snapshot")]
        self.repo.publish(*rest, "snapshot", "timestamp")

"""The command-line protocol of the public TUF conformance suite, case by case, against our client.

    tests/tuf/run protocol [NAME…]

Each function is one case: it gets a repository that is published and a client that knows its first root.
What is looked at is what the suite looks at: exit codes, the metadata that is kept, the files that were
downloaded, and the requests that were made.
"""

import datetime
import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

from clients import Ours, program
from repository import TOP, Repository, Server, in_days

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


FIRST = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]


@case
def refresh_asks_in_order_and_keeps_the_bytes(bench):
    bench.repo.files["metadata/timestamp.json"] += b" "
    client = bench.client()
    assert client.refresh() == 0 and bench.asked() == FIRST
    assert client.kept() == {f"{role}.json": bench.repo.served(role) for role in TOP}
    assert client.refresh() == 0 and bench.asked() == FIRST[:2]


@case
def download_refreshes_first(bench):
    client = bench.client()
    assert client.download("nonexistent") == 1 and bench.asked() == FIRST
    assert set(client.versions()) == set(TOP)


@case
def a_bad_first_root_asks_for_nothing(bench):
    root = json.loads(bench.repo.files["metadata/1.root.json"])
    del root["signed"]["version"]
    assert bench.client(json.dumps(root).encode()).refresh() == 1 and bench.asked() == []


@case
def an_unsigned_first_root_asks_for_nothing(bench):
    root = json.loads(bench.repo.files["metadata/1.root.json"])
    root["signatures"][0]["sig"] = "3045022100" + "ee" * 32 + "0220" + "77" * 32
    assert bench.client(json.dumps(root).encode()).refresh() == 1 and bench.asked() == []


def stops_at(bench, role, **options):
    """Version 2 of everything is fine but for one role; what comes before it is kept."""
    client = bench.client()
    for each in ("root", "targets", "snapshot", "timestamp"):
        bench.repo.publish(each, **(options if each == role else {}))
    assert client.refresh() == 1
    kept = {"root": {"root": 1}, "timestamp": {"root": 2}, "snapshot": {"root": 2, "timestamp": 2},
            "targets": {"root": 2, "timestamp": 2, "snapshot": 2}}
    assert client.versions() == kept[role], client.versions()


for _role in TOP:
    def _unsigned(bench, role=_role):
        stops_at(bench, role, bend=lambda file: file["signatures"].clear())
    _unsigned.__name__ = f"unsigned_{_role}_stops_there"
    case(_unsigned)

for _role in ("snapshot", "targets", "root"):
    def _other_version(bench, role=_role):
        client = bench.client()
        bench.repo.signed[role]["version"] += 1
        for each in ("root", "targets", "snapshot", "timestamp"):
            bench.repo.publish(each)
        name = f"metadata/3.{role}.json"
        bench.repo.files[f"metadata/2.{role}.json"] = bench.repo.files.pop(name)
        for parent, child in (("snapshot", "targets"), ("timestamp", "snapshot")):
            if role == child:
                bench.repo.signed[parent]["meta"][f"{child}.json"]["version"] = 2
        bench.repo.publish(*(["snapshot", "timestamp"] if role == "targets" else ["timestamp"]))
        assert client.refresh() == 1
        assert client.versions().get(role) == (1 if role == "root" else None)
    _other_version.__name__ = f"{_role}_of_another_version_than_its_name_is_refused"
    case(_other_version)


@case
def the_same_timestamp_version_changes_nothing(bench):
    client = bench.client()
    assert client.refresh() == 0
    before = client.kept()
    bench.repo.signed["timestamp"]["meta"]["snapshot.json"]["version"] = 100
    bench.repo.publish("timestamp", bump=False)
    assert client.refresh() == 0 and bench.asked()[-1] == "timestamp.json" and client.kept() == before


@case
def hashes_of_metadata_are_held(bench):
    bench.repo.listed_hashes = True
    bench.everything()
    client = bench.client()
    assert client.refresh() == 0
    bench.repo.publish("targets")
    bench.repo.signed["snapshot"]["meta"]["targets.json"]["hashes"] = {"sha256": "46" * 32}
    bench.repo.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    assert (client.versions()["snapshot"], client.versions()["targets"]) == (3, 2)


@case
def unknown_members_are_signed_and_tolerated(bench):
    client = bench.client()
    root = bench.repo.signed["root"]
    root["custom-field"] = "value"
    root["roles"]["root"]["another-field"] = "value"
    key = next(iter(root["keys"].values()))
    key["extra-field"] = {"a": 1, "b": 2}
    key["keyid_hash_algorithms"] = "md5"
    bench.repo.publish("root")
    assert client.refresh() == 0 and client.versions()["root"] == 2


def not_found(bench, role, publish):
    client = bench.client()
    assert client.refresh() == 0
    publish(bench.repo)
    assert client.refresh() == 1
    return client


@case
def a_snapshot_that_is_not_there_fails(bench):
    def publish(repo):
        repo.signed["timestamp"]["meta"]["snapshot.json"]["version"] += 1
        repo.publish("timestamp")
    client = not_found(bench, "snapshot", publish)
    assert bench.asked()[-1] == "2.snapshot.json"
    assert client.versions() == {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 2}


@case
def targets_that_are_not_there_fail(bench):
    def publish(repo):
        repo.signed["snapshot"]["meta"]["targets.json"]["version"] += 1
        repo.publish("snapshot", "timestamp")
    client = not_found(bench, "targets", publish)
    assert client.versions() == {"root": 1, "snapshot": 2, "targets": 1, "timestamp": 2}


@case
def a_timestamp_that_is_not_there_fails(bench):
    not_found(bench, "timestamp", lambda repo: repo.missing.add("metadata/timestamp.json"))


@case
def an_interrupted_request_for_a_root_is_no_answer(bench):
    bench.repo.broken.add("metadata/2.root.json")
    client = bench.client()
    assert client.refresh() == 1 and bench.asked() == ["2.root.json"]


@case
def another_type_under_the_right_key_is_refused(bench):
    client = bench.client()
    repo = bench.repo
    signed = repo.signed["timestamp"]
    repo.publish("root")
    repo.signed["timestamp"] = {**signed, "_type": "snapshot"}
    repo.publish("timestamp")
    assert client.refresh() == 1 and client.versions() == {"root": 2}


# Expiry


@case
def an_expired_root_is_kept_and_stops_the_rest(bench):
    client = bench.client()
    assert client.refresh() == 0
    bench.repo.signed["root"]["expires"] = in_days(-1)
    bench.repo.publish("root")
    bench.everything()
    assert client.refresh() == 1
    assert client.versions() == {"root": 2, "timestamp": 1, "snapshot": 1, "targets": 1}


for _role, _kept in (("timestamp", {}), ("snapshot", {"timestamp": 2}),
                     ("targets", {"timestamp": 2, "snapshot": 2})):
    def _expired(bench, role=_role, kept=_kept):
        client = bench.client()
        assert client.refresh() == 0
        bench.repo.signed[role]["expires"] = in_days(-5)
        bench.everything()
        assert client.refresh() == 1
        before = {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}
        assert client.versions() == {**before, **kept}
    _expired.__name__ = f"expired_{_role}_is_not_taken"
    case(_expired)


def faketime(days):
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return str(later.replace(tzinfo=None))


@case
def expired_files_still_guard_and_give_way_to_newer_ones(bench):
    bench.repo.signed["timestamp"]["expires"] = in_days(7)
    bench.everything()
    client = bench.client()
    assert client.refresh() == 0
    assert client.refresh(faketime=faketime(18)) == 1, "faketime does not reach the client"
    bench.repo.signed["timestamp"]["expires"] = in_days(21)
    bench.everything()
    assert client.refresh(faketime=faketime(18)) == 0
    assert client.versions()["timestamp"] == 3


@case
def expired_delegated_roles_are_not_used(bench):
    repo = bench.repo
    repo.delegate("targets", "delegated", paths=["d/*"])
    repo.signed["delegated"]["expires"] = in_days(7)
    repo.add("delegated", "d/first", b"first")
    repo.add("delegated", "d/second", b"second")
    bench.everything()
    client = bench.client()
    assert client.download("d/first") == 0
    assert client.download("d/second", faketime=faketime(18)) == 1
    assert list(client.downloaded().values()) == [b"first"]
    repo.signed["delegated"]["expires"] = in_days(21)
    bench.everything()
    assert client.download("d/second", faketime=faketime(18)) == 0
    repo.signed["delegated"]["expires"] = in_days(-1)
    bench.everything()
    assert client.download("d/first") == 1 and client.versions()["delegated"] == 2


# Downloads


@case
def targets_are_downloaded_once_and_again_when_they_change(bench):
    repo, path = bench.repo, "path/to/a/target_file.txt"
    client = bench.client()
    assert client.refresh() == 0 and client.downloaded() == {}
    for number in range(3):
        repo.add("targets", path, f"content {number}".encode())
        bench.everything()
        assert client.download(path) == 0 and len(bench.targets_asked()) == 1
        assert client.download(path) == 0 and bench.targets_asked() == []
        assert list(client.downloaded().values()) == [f"content {number}".encode()]
        name = f"targets/path/to/a/{repo.signed['targets']['targets'][path]['hashes']['sha256']}.target_file.txt"
        repo.files[name] = b"malicious"
        client.download(path)
        assert list(client.downloaded().values()) == [f"content {number}".encode()]


@case
def substituted_targets_are_not_stored(bench):
    bench.repo.add("targets", "file", b"genuine")
    bench.everything()
    for name in [name for name in bench.repo.files if name.startswith("targets/")]:
        bench.repo.files[name] = b"evil..."
    client = bench.client()
    assert client.download("file") == 1 and client.downloaded() == {}


for _names in (("sha256",), ("sha512",), ("sha256", "sha512")):
    def _algorithms(bench, names=_names):
        bench.repo.add("targets", "file", b"content", names)
        bench.everything()
        client = bench.client()
        assert client.download("file") == 0
        wrong = bench.repo.signed["targets"]["targets"]["file"]["hashes"]
        wrong[names[-1]] = "0" * len(wrong[names[-1]])
        bench.repo.files["targets/" + wrong[names[0]] + ".file"] = b"content"
        bench.everything()
        assert client.download("file") == 1
    _algorithms.__name__ = f"targets_with_{'_and_'.join(_names)}"
    case(_algorithms)


@case
def without_consistent_snapshots_plain_names_are_asked_for(bench):
    bench.repo.signed["root"]["consistent_snapshot"] = False
    bench.repo.add("targets", "dir/file", b"content")
    bench.repo.publish("root")
    bench.everything()
    client = bench.client()
    assert client.download("dir/file") == 0
    assert bench.asked()[2:] == ["timestamp.json", "snapshot.json", "targets.json"]
    assert bench.targets_asked() == ["targets/dir/file"]


# Keys and thresholds


@case
def a_threshold_that_is_not_met_is_refused(bench):
    repo = bench.repo
    repo.rotate("snapshot", 3, 3)
    bench.everything()
    client = bench.client()
    assert client.refresh() == 0
    repo.keys["snapshot"].pop()
    bench.everything()
    assert client.refresh() == 1 and client.versions()["snapshot"] == 2


@case
def a_threshold_beyond_the_keys_is_never_met(bench):
    repo = bench.repo
    client = bench.client()
    repo.give_keys("snapshot", 5, 6)
    repo.publish("root")
    bench.everything()
    assert client.refresh() == 1
    assert client.versions()["root"] == 2 and "snapshot" not in client.versions()


@case
def one_key_id_many_times_does_not_count(bench):
    repo = bench.repo
    client = bench.client()
    role = repo.signed["root"]["roles"]["snapshot"]
    role["keyids"] *= 9
    role["threshold"] = 6
    repo.publish("root")

    def many(file):
        file["signatures"] *= 9
    repo.publish("snapshot", bend=many)
    repo.publish("timestamp")
    assert client.refresh() == 1 and "snapshot" not in client.versions()


@case
def a_signature_that_is_there_twice_is_refused(bench):
    client = bench.client()
    bench.repo.publish("snapshot", bend=lambda file: file["signatures"].append(file["signatures"][0]))
    bench.repo.publish("timestamp")
    assert client.refresh() == 1 and "snapshot" not in client.versions()


@case
def an_unfit_signature_beside_a_good_one_is_passed_over(bench):
    repo = bench.repo
    client = bench.client()
    repo.rotate("timestamp", 2, 1)
    for sig in ("00" * 64, ""):
        repo.publish("timestamp", bend=lambda file: file["signatures"][0].update(sig=sig))
        assert client.refresh() == 0


for _kind in ("ecdsa", "ed25519"):
    def _keytype(bench, kind=_kind):
        repo = bench.repo
        repo.kinds = (kind,)
        client = bench.client()
        repo.rotate("root", 2, 2)
        assert client.refresh() == 0 and client.versions()["root"] == 2
        wrong = {"ecdsa": "3046022100" + "fa" * 32 + "022100" + "b3" * 32, "ed25519": "b6" * 32 + "00" * 32}
        repo.publish("root", bend=lambda file: file["signatures"][1].update(sig=wrong[kind]))
        assert client.refresh() == 1 and client.versions()["root"] == 2
    _keytype.__name__ = f"keys_of_kind_{_kind}"
    case(_keytype)


@case
def keys_of_unknown_kinds_are_passed_over(bench):
    repo = bench.repo
    client = bench.client()
    root = repo.signed["root"]
    root["keys"]["unknown"] = {"keytype": "sphincs", "scheme": "new", "keyval": {"public": "x"}}
    root["roles"]["timestamp"]["keyids"].append("unknown")
    repo.publish("root")
    assert client.refresh() == 0


@case
def keys_are_rotated_one_by_one_and_all_at_once(bench):
    client = bench.client()
    for role in (*TOP, *TOP):
        bench.repo.rotate(role, 3, 2)
        bench.everything()
    assert client.refresh() == 0 and client.versions()["root"] == 9
    bench.repo.give_keys("root", 1, 1)
    bench.repo.publish("root")
    assert client.refresh() == 1 and client.versions()["root"] == 9


# Rollback and recovery


@case
def an_older_timestamp_is_refused(bench):
    client = bench.client()
    bench.repo.publish("timestamp")
    assert client.refresh() == 0
    bench.repo.signed["timestamp"]["version"] = 1
    bench.repo.publish("timestamp", bump=False)
    assert client.refresh() == 1 and client.versions()["timestamp"] == 2
    assert bench.asked()[-1] == "timestamp.json"


for _hashes in (False, True):
    def _older_snapshot(bench, hashes=_hashes):
        bench.repo.listed_hashes = hashes
        bench.everything()
        client = bench.client()
        assert client.refresh() == 0
        bench.repo.signed["snapshot"]["version"] = 1
        bench.repo.publish("snapshot", bump=False)
        bench.repo.publish("timestamp")
        assert client.refresh() == 1 and bench.asked()[-1] == "timestamp.json"
        assert (client.versions()["timestamp"], client.versions()["snapshot"]) == (2, 2)

    def _older_targets(bench, hashes=_hashes):
        bench.repo.listed_hashes = hashes
        bench.everything()
        bench.everything()
        client = bench.client()
        assert client.refresh() == 0
        bench.repo.signed["targets"]["version"] = 1
        bench.everything()
        assert client.refresh() == 1
        assert (client.versions()["snapshot"], client.versions()["targets"]) == (3, 3)
    _older_snapshot.__name__ = f"an_older_snapshot_is_refused_{'with' if _hashes else 'without'}_hashes"
    _older_targets.__name__ = f"older_targets_are_refused_{'with' if _hashes else 'without'}_hashes"
    case(_older_snapshot)
    case(_older_targets)

for _role in ("timestamp", "snapshot", "targets"):
    def _recovery(bench, role=_role):
        repo = bench.repo
        repo.signed[role]["version"] = 99_998
        bench.everything()
        client = bench.client()
        assert client.refresh() == 0 and client.versions()[role] == 99_999
        # A snapshot or targets pushed ahead are guarded by what lists them.
        repo.rotate("snapshot" if role == "targets" else role)
        if role == "snapshot":
            repo.rotate("timestamp")
        repo.signed[role]["version"] = 1
        bench.everything()
        assert client.refresh() == 0 and client.versions()[role] == 2
    _recovery.__name__ = f"a_{_role}_pushed_ahead_is_recovered_from"
    case(_recovery)


# Delegations


def graph(bench, edges, found_in=None):
    """The order in which roles are asked, as the suite counts it."""
    for parent, name, options in edges:
        bench.repo.delegate(parent, name, **options)
    if found_in:
        bench.repo.add(found_in, "releases/x/file", b"content")
    bench.everything()
    client = bench.client()
    code = client.download("releases/x/file" if found_in else "missingpath")
    return code, [name.split(".")[1] for name in bench.asked()[4:]]


ALL, NONE, END = {"paths": ["*"]}, {"paths": ["*.py"]}, {"paths": ["*"], "terminating": True}
GRAPHS = {
    "one": ([("targets", "A", ALL)], "A"),
    "two": ([("targets", "A", ALL), ("targets", "B", ALL)], "AB"),
    "depth_first": ([("targets", "A", ALL), ("targets", "B", ALL), ("A", "C", ALL), ("A", "D", ALL)], "ACDB"),
    "three_levels": ([("targets", "A", ALL), ("targets", "B", ALL), ("A", "C", ALL), ("C", "D", ALL)], "ACDB"),
    "terminating": ([("targets", "A", ALL), ("targets", "B", ALL), ("A", "C", END), ("A", "D", ALL)], "AC"),
    "terminating_descends": ([("targets", "A", ALL), ("targets", "B", ALL), ("A", "C", END), ("C", "D", ALL)], "ACD"),
    "not_matching": ([("targets", "A", NONE), ("targets", "B", ALL), ("A", "C", ALL)], "B"),
    "cyclic": ([("targets", "A", ALL), ("targets", "B", ALL), ("B", "C", ALL), ("C", "D", ALL), ("D", "B", ALL)], "ABCD"),
    "shared": ([("targets", "A", ALL), ("targets", "B", ALL), ("B", "C", ALL), ("A", "C", ALL)], "ACB"),
    "shared_other_paths": ([("targets", "A", ALL), ("targets", "B", ALL), ("B", "C", ALL), ("A", "C", NONE)], "ABC"),
}
for _name, (_edges, _order) in GRAPHS.items():
    def _graph(bench, edges=_edges, order=_order):
        code, asked = graph(bench, edges)
        assert code == 1 and "".join(asked) == order, asked
    _graph.__name__ = f"delegations_{_name}"
    case(_graph)


@case
def delegations_by_folder_are_followed(bench):
    edges = [("targets", "A", {"paths": ["*.doc", "*.md"]}), ("targets", "B", {"paths": ["releases/*/*"]}),
             ("B", "C", {"paths": ["releases/x/*"]}), ("B", "D", {"paths": ["releases/y/*.zip"]})]
    assert graph(bench, edges, "C") == (0, ["B", "C"])


@case
def a_role_cannot_speak_for_what_it_was_not_given(bench):
    edges = [("targets", "B", {"paths": ["releases/*/*"]}), ("B", "D", {"paths": ["releases/y/*"]})]
    assert graph(bench, edges, "D") == (1, ["B"])


for _name, _encoded in (("?", "%3F"), ("#", "%23"), ("/delegatedrole", "%2Fdelegatedrole"),
                        ("../delegatedrole", "..%2Fdelegatedrole")):
    def _quoting(bench, name=_name, encoded=_encoded):
        bench.repo.delegate("targets", name)
        bench.everything()
        client = bench.client()
        assert client.download("nonexistent target") == 1
        assert f"1.{encoded}.json" in bench.asked() and f"{encoded}.json" in client.kept()
        assert len(client.kept()) == 5
    _quoting.__name__ = f"role_name_{_encoded}"
    case(_quoting)


# What no suite can serve


@case
def a_server_that_trickles_is_given_up(bench):
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle():
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)
        except OSError:
            pass
    threading.Thread(target=trickle, daemon=True).start()
    client = bench.client()
    begin = time.monotonic()
    done = subprocess.run(
        [program(), "--metadata-dir", str(client.metadata), "--patience", "1", "--metadata-url",
         f"http://127.0.0.1:{listener.getsockname()[1]}/", "refresh"], stderr=subprocess.PIPE,
        timeout=20, check=False)
    assert done.returncode == 1 and 1 <= time.monotonic() - begin < 10, done.stderr


@case
def wrong_usage_ends_with_1(bench):
    client = bench.client()
    assert client.run("nonsense") == 1
    assert client.run("refresh") == 1


def main():
    chosen = [case for case in CASES if not sys.argv[1:] or any(n in case.__name__ for n in sys.argv[1:])]
    server, failed, begin = Server(), 0, time.monotonic()
    for function in chosen:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(folder, server, kinds=("ecdsa",))
            try:
                function(bench)
            except Exception as why:  # pylint: disable=broad-except
                failed += 1
                line = why.__traceback__
                while line.tb_next:
                    line = line.tb_next
                print(f"FAIL {function.__name__} (line {line.tb_lineno}): {why!r}")
    took = time.monotonic() - begin
    print(f"protocol: {len(chosen) - failed} of {len(chosen)} cases passed, {took:.0f} s")
    sys.exit(1 if failed or not chosen else 0)


if __name__ == "__main__":
    main()

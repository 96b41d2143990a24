"""What a refresh asks for, in which order, and where it stops."""

import json

from bench import case
from repository import TOP

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

"""Random repositories with random faults, before two clients: the same verdicts, the same files kept,
the same targets, and after a success the same requests.

    tests/tuf/run differential --count 500 --seed 7

Where the two may differ on purpose stands in `may_differ`, each with its reason.
"""

import argparse
import copy
import hashlib
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter

from clients import Ours, Theirs, program
from repository import TOP, Repository, Server, in_days, key_dict

PATHS = ["a", "b.txt", "dir/a", "dir/b.txt", "dir/sub/c.bin", "with space", "x/y/z"]
PATTERNS = ["*", "?", "*.txt", "dir/*", "dir/*/*", "*/*", "x/y/z", "[ab]*", "[!a]*", "*/*/*", "none"]


def make(rng):
    kinds = rng.choice([("ed25519",), ("ed25519", "ecdsa"), ("ecdsa",)])
    repo = Repository(rng, kinds, rng.random() < 0.7, rng.random() < 0.5)
    for role in TOP:
        if rng.random() < 0.3:
            count = rng.randint(1, 3)
            before = list(repo.keys["root"])
            repo.give_keys(role, count, rng.randint(1, count))
            repo.publish("root", also=before)
    if rng.random() < 0.7:
        delegations(rng, repo)
    for _ in range(rng.randint(1, 4)):
        add_target(rng, repo)
    everything(repo)
    return repo


def delegations(rng, repo):
    names = rng.sample(["A", "B", "C", "D", "../E", "F?#", "ü g"], rng.randint(1, 5))
    there = ["targets"]
    for name in names:
        for parent in rng.sample(there, min(len(there), rng.choice([1, 1, 1, 2]))):
            if rng.random() < 0.8:
                what = {"paths": rng.sample(PATTERNS, rng.randint(1, 3))}
            else:
                what = {"path_hash_prefixes": ["".join(rng.choice("0123456789abcdef"))
                                               for _ in range(rng.randint(1, 12))]}
            count = rng.randint(1, 2)
            repo.delegate(parent, name, rng.random() < 0.3, rng.randint(1, count), count, **what)
        there.append(name)
    if rng.random() < 0.2 and len(names) > 1:
        repo.delegate(names[-1], names[0])  # a loop
    if rng.random() < 0.15:
        bins(rng, repo, names[-1])


def bins(rng, repo, parent):
    bits = rng.randint(1, 4)
    key = repo.new_key()
    succinct = {"keyids": [key.public_key.keyid], "threshold": 1, "bit_length": bits,
                "name_prefix": "bin"}
    repo.signed[parent]["delegations"] = {
        "keys": {key.public_key.keyid: key_dict(key)}, "succinct_roles": succinct}
    for number in range(2 ** bits):
        name = f"bin-{number:x}"
        repo.keys[name] = [key]
        repo.signed[name] = {"_type": "targets", "spec_version": "1.0.31", "version": 0,
                             "expires": in_days(30), "targets": {}}


def listing(repo):
    return [role for role in repo.signed if role not in ("root", "timestamp", "snapshot")]


def add_target(rng, repo):
    path = rng.choice(PATHS)
    content = bytes(rng.randrange(256) for _ in range(rng.randint(0, 50)))
    # One content for a path, whoever lists it.
    algorithms = rng.choice([("sha256",), ("sha512",), ("sha256", "sha512")])
    repo.add(rng.choice(listing(repo)), path, content, algorithms)
    for role in listing(repo):
        if path in repo.signed[role]["targets"]:
            repo.add(role, path, content, algorithms)


def everything(repo):
    repo.publish(*listing(repo), "snapshot", "timestamp")


def honest(rng, repo):
    """What a repository does between two visits."""
    for _ in range(rng.randint(0, 2)):
        act = rng.choice(["target", "rotate", "root", "timestamp", "all", "targets", "partly"])
        if act == "target":
            add_target(rng, repo)
            everything(repo)
        elif act == "rotate":
            count = rng.randint(1, 2)
            repo.rotate(rng.choice(TOP), count, rng.randint(1, count))
            everything(repo)
        elif act == "root":
            repo.publish("root")
        elif act == "timestamp":
            repo.publish("timestamp")
        elif act == "targets":
            repo.publish("targets", "snapshot", "timestamp")
        elif act == "partly":
            repo.publish("snapshot", "timestamp")
        else:
            everything(repo)


def any_role(rng, repo):
    return rng.choice(list(repo.signed))


def republish(repo, role):
    """The role, and all that must follow it."""
    chain = {"timestamp": ["timestamp"], "snapshot": ["snapshot", "timestamp"], "root": ["root"]}
    repo.publish(*chain.get(role, [role, "snapshot", "timestamp"]))


def bent(repo, role, bend):
    """The same with a file that is bent after it was signed."""
    if role == "root":
        repo.publish("root", bend=bend)
        return
    repo.publish(role, bend=bend)
    if role not in ("timestamp", "snapshot"):
        repo.publish("snapshot")
    if role != "timestamp":
        repo.publish("timestamp")


def fault_expired(rng, repo):
    role = any_role(rng, repo)
    repo.signed[role]["expires"] = in_days(-1)
    republish(repo, role)


def fault_signature_lost(rng, repo):
    role = any_role(rng, repo)
    bent(repo, role, lambda file: file["signatures"].pop())


def fault_signature_empty(rng, repo):
    def bend(file):
        file["signatures"][0]["sig"] = rng.choice(["", "00", "zz", "00" * 64])
    bent(repo, any_role(rng, repo), bend)


def fault_signed_twice(rng, repo):
    bent(repo, any_role(rng, repo), lambda file: file["signatures"].append(file["signatures"][0]))


def fault_changed(rng, repo):
    def bend(file):
        file["signed"]["changed"] = True
    bent(repo, any_role(rng, repo), bend)


def fault_unknown_member(rng, repo):
    """Not a fault: it is signed."""
    role = any_role(rng, repo)
    repo.signed[role]["x-new"] = {"nested": [1, "zwei", None, True]}
    republish(repo, role)


def fault_rollback(rng, repo):
    role = rng.choice(["timestamp", "snapshot", "targets"])
    repo.signed[role]["version"] = max(0, repo.signed[role]["version"] - rng.randint(2, 3))
    republish(repo, role)


def fault_same_version(rng, repo):
    repo.signed["timestamp"]["x-other"] = rng.randrange(1000)
    repo.publish("timestamp", bump=False)


def fault_listed_version(rng, repo):
    role = rng.choice(listing(repo) + ["snapshot"])
    by = rng.choice([-1, 1])
    if role == "snapshot":
        repo.signed["timestamp"]["meta"]["snapshot.json"]["version"] += by
        repo.publish("timestamp")
    else:
        listed = repo.signed["snapshot"]["meta"].setdefault(f"{role}.json", {"version": 1})
        listed["version"] += by
        repo.publish("snapshot", "timestamp")


def fault_unlisted(rng, repo):
    repo.signed["snapshot"]["meta"].pop(f"{rng.choice(listing(repo))}.json", None)
    repo.publish("snapshot", "timestamp")


def fault_listed_length(rng, repo):
    listed = repo.signed["snapshot"]["meta"].setdefault(
        f"{rng.choice(listing(repo))}.json", {"version": 1})
    listed["length"] = listed.get("length", 400) + rng.choice([-1, 1])
    repo.publish("snapshot", "timestamp")


def fault_listed_hash(rng, repo):
    listed = repo.signed["snapshot"]["meta"].setdefault(
        f"{rng.choice(listing(repo))}.json", {"version": 1})
    listed["hashes"] = {"sha256": "00" * 32}
    repo.publish("snapshot", "timestamp")


def fault_missing(rng, repo):
    everything(repo)
    repo.missing.add(rng.choice([path for path in repo.files if path.startswith("metadata/")]))


def fault_broken(rng, repo):
    everything(repo)
    repo.broken.add(rng.choice([path for path in repo.files if path.startswith("metadata/")]))


def fault_endless(rng, repo):
    everything(repo)
    path = rng.choice([path for path in repo.files if path.startswith("metadata/")])
    repo.files[path] += b" " * 5_100_000


def fault_corrupt(rng, repo):
    everything(repo)
    path = rng.choice([path for path in repo.files if path.startswith("metadata/")])
    content = bytearray(repo.files[path])
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(7)
    repo.files[path] = bytes(content)


def fault_mix(rng, repo):
    """An older file in the place of a newer one."""
    before = copy.deepcopy(repo.files)
    everything(repo)
    path = rng.choice([path for path in before if path.startswith("metadata/")])
    repo.files[path] = before[path]


def fault_target(rng, repo):
    path = rng.choice([path for path in repo.files if path.startswith("targets/")])
    repo.files[path] = rng.choice([b"malicious", repo.files[path] + b"x", repo.files[path][:-1]])


def fault_type(rng, repo):
    role = any_role(rng, repo)
    before = repo.signed[role]["_type"]
    repo.signed[role]["_type"] = rng.choice([name for name in TOP if name != before])
    republish(repo, role)


def fault_spec(rng, repo):
    role = any_role(rng, repo)
    repo.signed[role]["spec_version"] = rng.choice(["2.0.0", "0.9.0"])
    republish(repo, role)


def fault_root_threshold(rng, repo):
    role = rng.choice(TOP)
    repo.signed["root"]["roles"][role]["threshold"] = rng.choice([0, 5])
    repo.publish("root")
    everything(repo)


def fault_root_key_twice(rng, repo):
    keyids = repo.signed["root"]["roles"][rng.choice(TOP)]["keyids"]
    keyids.append(keyids[0])
    repo.publish("root")


def fault_root_gap(_, repo):
    repo.signed["root"]["version"] += 1
    repo.publish("root")
    version = repo.signed["root"]["version"]
    repo.files[f"metadata/{version - 1}.root.json"] = repo.served("root")


def fault_root_alone(rng, repo):
    """A root that its predecessor's keys did not sign."""
    repo.give_keys("root", 1, 1)
    repo.publish("root")


def fault_unrelated_keys(rng, repo):
    """A role signed by the keys of another."""
    role, other = rng.sample(list(TOP), 2)
    own, repo.keys[role] = repo.keys[role], repo.keys[other]
    republish(repo, role)
    repo.keys[role] = own


def fault_delegation(rng, repo):
    parents = [role for role in listing(repo) if repo.signed[role].get("delegations", {}).get("roles")]
    if not parents:
        return
    parent = rng.choice(parents)
    roles = repo.signed[parent]["delegations"]["roles"]
    role = rng.choice(roles)
    fault = rng.randrange(6)
    if fault == 0:
        role["name"] = rng.choice(["root", "snapshot", "targets", ""])
    elif fault == 1:
        roles.append(copy.deepcopy(role))
    elif fault == 2:
        role["paths"], role["path_hash_prefixes"] = ["*"], ["0"]
    elif fault == 3:
        role.pop("paths", None), role.pop("path_hash_prefixes", None)
    elif fault == 4:
        role["threshold"] = 0
    else:
        role["keyids"].append(role["keyids"][0])
    republish(repo, parent)


def fault_wide(rng, repo):
    """More delegations than are followed."""
    for number in range(rng.choice([20, 31, 32, 33, 40])):
        repo.delegate("targets", f"wide{number}")
    last = f"wide{number}"
    repo.add(last, "a", b"wide")
    everything(repo)


FAULTS = [value for name, value in sorted(globals().items()) if name.startswith("fault_")]


def may_differ(before, ours, theirs, verdicts, repo):
    """Differences that are meant, and why; nothing when there is no excuse."""
    # Section 5.3.11 says to delete timestamp and snapshot when the keys of one of them were rotated.
    # python-tuf leaves them, and passes over those that the new keys did not sign: where the snapshot's keys
    # stayed, it still holds a newer snapshot to the old one.
    root, old = (json.loads(kept["root.json"])["signed"]["roles"] for kept in (ours.kept(), before))
    rotated = any(set(old[role]["keyids"]) - set(root[role]["keyids"]) for role in ("timestamp", "snapshot"))
    held_back = "BadVersionNumber" in theirs.words or "missing info" in theirs.words
    if rotated and (verdicts == (1, 1) or verdicts == (0, 1) and held_back):
        return "5.3.11"
    # A kept snapshot of the listed version with another hash than the listed one: python-tuf goes by the
    # version, ours asks for the file that the timestamp lists.
    try:
        listed = json.loads(repo.served("timestamp"))["signed"]["meta"]["snapshot.json"]
    except (ValueError, KeyError):
        return None
    kept = before.get("snapshot.json")
    if kept and "hashes" in listed and json.loads(kept)["signed"]["version"] == listed["version"]:
        if hashlib.sha256(kept).hexdigest() != listed["hashes"]["sha256"]:
            return "another hash"
    return None


def asked_by_theirs(theirs):
    return [path.removeprefix("metadata/") for path in theirs.asked if path.startswith("metadata/")]


def compare(ours, theirs, mine, other, server):
    if mine != other:
        return "other verdict"
    if ours.downloaded() != theirs.downloaded():
        return "other targets"
    if ours.kept() != theirs.kept():
        return f"other files kept: {ours.versions()} and {theirs.versions()}"
    if mine == 0 and server.metadata_asked() != asked_by_theirs(theirs):
        return "other requests"
    return None


def one(number, seed, server, folder, seen):
    rng = random.Random(f"{seed}/{number}")
    repo = make(rng)
    server.repository = repo
    root = repo.files["metadata/1.root.json"]
    ours = Ours(folder / "ours", root, server, program())
    theirs = Theirs(folder / "theirs", root, repo)
    story = []
    for _ in range(rng.randint(1, 4)):
        honest(rng, repo)
        fault = rng.choice(FAULTS) if rng.random() < 0.5 else None
        if fault:
            fault(rng, repo)
        there = sorted(repo.contents)
        path = rng.choice(there if rng.random() < 0.8 else PATHS)
        before = theirs.kept()
        mine, other = ours.download(path), theirs.download(path)
        story.append(f"{fault.__name__ if fault else 'honest'} {path}: ours {mine} ({ours.words}), "
                     f"theirs {other} ({theirs.words})\n      asked: {server.metadata_asked()}\n"
                     f"             {asked_by_theirs(theirs)}")
        seen[(fault.__name__ if fault else "honest", mine)] += 1
        difference = compare(ours, theirs, mine, other, server)
        if difference:
            excuse = may_differ(before, ours, theirs, (mine, other), repo)
            seen[(f"meant: {excuse}", mine)] += bool(excuse)
            return None if excuse else difference, story
        repo.missing.clear()
        repo.broken.clear()
    return None, story


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    options.add_argument("--only", type=int, help="one repository of the seed's")
    options = options.parse_args()
    numbers = [options.only] if options.only is not None else range(options.count)
    server, seen, wrong, begin = Server(), Counter(), 0, time.monotonic()
    print(f"differential: seed {options.seed}, {len(numbers)} repositories")
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            difference, story = one(number, options.seed, server, pathlib.Path(folder), seen)
        if difference or options.only is not None:
            print(f"--- repository {number}: {difference}", *story, sep="\n    ")
        wrong += bool(difference)
    took = time.monotonic() - begin
    meant = sum(count for (name, _), count in seen.items() if name.startswith("meant"))
    accepted = sum(seen[key] for key in seen if key[1] == 0 and not key[0].startswith("meant"))
    print(f"differential: {len(numbers)} repositories, {sum(seen.values()) - meant} updates "
          f"({accepted} accepted), {wrong} differences ({meant} that are meant), {took:.0f} s")
    if options.count >= 400:
        for fault in sorted({fault for fault, _ in seen}):
            print(f"    {fault}: {seen[(fault, 0)]} accepted, {seen[(fault, 1)]} refused")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

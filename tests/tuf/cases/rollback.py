"""Versions that go back, and what recovers from versions that were pushed ahead."""

from bench import case


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

"""Targets, their hashes and their names."""

from bench import case


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

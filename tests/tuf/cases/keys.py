"""Keys and thresholds."""

from bench import case
from repository import TOP


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

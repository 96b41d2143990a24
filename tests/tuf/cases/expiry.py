"""Files that have expired."""

import datetime

from bench import case
from repository import in_days


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

"""Delegated roles: their order, their paths and their names."""

from bench import case


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

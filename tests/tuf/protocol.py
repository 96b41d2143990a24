"""The command-line protocol of the public TUF conformance suite, case by case, against our client.

    tests/tuf/run protocol [NAME…]

Each function below cases/ is one case: it gets a repository that is published and a client that knows its first root.
What is looked at is what the suite looks at: exit codes, the metadata that is kept, the files that were
downloaded, and the requests that were made.
"""

import sys
import tempfile
import time

import cases  # pylint: disable=unused-import
from bench import CASES, Bench
from repository import MEMORY, Server


def main():
    chosen = [case for case in CASES if not sys.argv[1:] or any(n in case.__name__ for n in sys.argv[1:])]
    server, failed, begin = Server(), 0, time.monotonic()
    for function in chosen:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
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

"""Break the product in a copy, one promise at a time, and show the suite turning red.

    python -m tests.mutations [NAME…] [--list] [--all-tests]

One Kafka and one Postgres, started from the checkout, serve all runs. First the named tests are run on the copy as it
is: they must be green there, or their red would prove nothing. Exits with 1 where a mutation survived one of its tests.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutations.catalogue import MUTATIONS
from tests.mutations.checkout import ROOT, Run, check_packages, copied, run
from tests.mutations.mutation import Mutation, Rotten
from tests.running import running


def main() -> int:
    """The exit status."""
    asked = _arguments()
    chosen = [mutation for mutation in MUTATIONS if not asked.names or mutation.name in asked.names]
    if unknown := set(asked.names) - {mutation.name for mutation in chosen}:
        print(f"no such mutation: {', '.join(sorted(unknown))}; --list shows them all", file=sys.stderr)
        return 2
    if asked.list:
        for mutation in chosen:
            print(f"{mutation.name}: {mutation.promise}\n    {mutation.file}")
        return 0
    try:
        for mutation in chosen:
            mutation.mutated(ROOT / mutation.file)  # before minutes have gone into the others
        with (
            tempfile.TemporaryDirectory(prefix="nenrin-servers-") as folder,
            running(Path(folder), "services.stack.dev"),
        ):
            return _show(chosen, Path(folder), all_tests=asked.all_tests)
    except Rotten as error:
        print(error, file=sys.stderr)
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations; all of them, if none is named")
    parser.add_argument("--list", action="store_true", help="say which there are, and run nothing")
    parser.add_argument("--all-tests", action="store_true", help="run the whole suite on each, and say what turned red")
    return parser.parse_args()


def _show(chosen: Sequence[Mutation], servers: Path, *, all_tests: bool) -> int:
    unchanged = _unchanged(servers, sorted({test for mutation in chosen for test in mutation.tests}))
    proven = [mutation for mutation in chosen if all(map(unchanged.green, mutation.tests))]
    print("\n| mutation | promise | caught by | seconds |\n|---|---|---|---|", flush=True)
    caught = [mutation for mutation in proven if _caught(mutation, servers, all_tests=all_tests)]
    print(f"\n{len(caught)} of {len(chosen)} mutations turned their tests red.", flush=True)
    for mutation in chosen:
        if mutation not in caught:
            why = "survived" if mutation in proven else "proves nothing: its tests are not green without it"
            print(f"{mutation.name}: {why}", file=sys.stderr)
    return 0 if len(caught) == len(chosen) else 1


def _unchanged(servers: Path, tests: Sequence[str]) -> Run:
    """The tests on a copy that nobody changed."""
    with copied() as copy:
        check_packages(copy)
        found = run(copy, servers, tests)
    print(f"Unchanged: {len(found.passed)} passed in {found.seconds:.0f} s. {found.ended}", flush=True)
    for name, why in (found.failed | found.broken).items():
        print(f"red without any mutation: {name}: {why}", file=sys.stderr, flush=True)
    return found


def _caught(mutation: Mutation, servers: Path, *, all_tests: bool) -> bool:
    with copied() as copy:
        mutation.apply(copy)
        found = run(copy, servers, () if all_tests else mutation.tests)
    shown = [f"`{test}`: {_short(why)}" for test in mutation.tests if (why := found.red(test)) is not None]
    if all_tests:
        shown += [f"`{name}`" for name in found.failed if name.partition("[")[0] not in mutation.tests]
    missing = [test for test in mutation.tests if found.red(test) is None]
    shown += [f"**not by `{test}`** {_instead(found, test)}" for test in missing]
    print(f"| {mutation.name} | {mutation.promise} | {'<br>'.join(shown)} | {found.seconds:.0f} |", flush=True)
    return not missing


def _instead(found: Run, test: str) -> str:
    if found.ended:
        return f"({found.ended[-300:]})"
    return next((f"(broke: {_short(why)})" for name, why in found.broken.items() if name.startswith(test)), "")


def _short(why: str) -> str:
    """An assertion in a cell of a table."""
    return why.replace("|", "\\|")[:160]


if __name__ == "__main__":
    sys.exit(main())

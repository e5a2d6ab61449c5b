"""`nenrin projections verify`: whether a generation is what its log says."""

import asyncio
from pathlib import Path

import msgspec

from nenrin.cli.deciding import who
from nenrin.cli.endings import Failed, Status
from nenrin.cli.replaying import shown
from nenrin.cli.services import settings_for
from nenrin.cli.showing import plain, positions
from services.replay.verifying import Finding, Verdict, verify


def run(name: str, generation: int | None, by: str | None, state: Path | None, as_json: bool) -> Status:
    """Verify, and print what was found. Raises `Failed` where that is anything."""
    with shown() as progress:
        verdict = asyncio.run(verify(settings_for(state), name, generation, who(by), progress))
    if as_json:
        print(msgspec.json.encode(verdict).decode())
    else:
        for finding in verdict.findings:
            print(plain(said(finding)))
        print(f"compared {verdict.documents:,} documents at version {positions(verdict.version)}")
    if not verdict.holds:
        raise Failed(_failed(verdict))
    if not as_json:
        print(f"{name} generation {verdict.generation} is what its log says")
    return Status.DONE


def said(finding: Finding) -> str:
    """A finding in a line."""
    where = "" if finding.document_id is None else f" {finding.collection}/{finding.document_id}"
    where += "" if finding.ordinal is None else f" #{finding.ordinal}"
    where = where or ("" if finding.collection is None else f" {finding.collection}")
    return f"{finding.what}{where}: {finding.how}"


def _failed(verdict: Verdict) -> str:
    count = f"{len(verdict.findings):,}{' and more' if verdict.more else ''}"
    first = plain(said(verdict.findings[0]), 200)
    return (
        f"{verdict.projection} generation {verdict.generation} is not what its log says, in {count} places, such as "
        f"{first}: `nenrin projections rebuild {verdict.projection} --force --reason …` puts one there that is"
    )

"""The acts, in the order in which they are played. Each says what it does, does it, and checks what it claims."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nenrin.cli.showing import STATES, excerpt, freshness_of, lag, positions
from nenrin.client import Draft
from nenrin.client.answers import Found, Projection
from nenrin.client.errors import NotThere
from nenrin.demo.scene import LONGEST_WAIT, Scene, patiently

Facts = list[tuple[str, str]]

NOTE = "notes/lighthouse"
WRITERS = 8
"""Requests at a time: each waits for Kafka's disks, and those can take several at once."""
RINGS = 12
"""Documents that are written while no embedder runs."""


def add(scene: Scene) -> Facts:
    """Every document is an event in Kafka first, and searchable once it has been embedded."""
    stage, corpus, session = scene.stage, scene.corpus, scene.session
    stage.act("Add documents as events")
    stage.say(f"{corpus.name}: {len(corpus.drafts)} documents, {corpus.characters:,} characters.")
    if corpus.passed_over:
        stage.say(
            f"[dim]{corpus.passed_over} more files would take longer than a demo should: `nenrin add` takes all.[/]"
        )
    began = time.perf_counter()
    with stage.progress("acknowledged by Kafka", len(corpus.drafts)) as done, ThreadPoolExecutor(WRITERS) as pool:
        for number, _ in enumerate(pool.map(lambda draft: _put(scene, draft), corpus.drafts), 1):
            done(number, "")
    token = session.token
    stage.say(f"Each write returned a version token; merged: [cyan]{token[:26]}…[/]")
    stage.say(f"It stands for the next offset of each partition: [cyan]{positions(token)}[/]")
    scene.catch_up("embedded, searchable", token, len(corpus.drafts))
    took = time.perf_counter() - began
    counts = {count.name: count for count in session.collections().collections}[corpus.collection]
    stage.check(counts.documents >= len(corpus.drafts), f"{counts.documents} documents in {counts.passages} passages")
    return [("added and searchable", f"{counts.documents} documents, {counts.passages} passages in {took:.0f} s")]


def _put(scene: Scene, draft: Draft) -> None:
    collection = scene.corpus.collection
    scene.session.add(collection, draft.document_id, draft.text, title=draft.title, source_uri=draft.source_uri)


def search(scene: Scene) -> Facts:
    """Both ways to search, side by side; every answer with its version and lag."""
    stage = scene.stage
    stage.act("Search, by words and by meaning")
    with stage.waiting("the query service loads its model"):
        patiently(lambda: scene.search("ready?", "dense"))
    for question in scene.corpus.questions:
        table = Table(box=box.ROUNDED, title=f"“{question}”", title_style="bold", expand=True, border_style="dim")
        cells = [_answer(*scene.search(question, mode), question) for mode in ("text", "dense")]
        table.add_column("text: the words", ratio=1)
        table.add_column("dense: the meaning", ratio=1)
        table.add_row(*cells)
        stage.show(table)
    return []


def _answer(found: Found, took: float, question: str) -> RenderableType:
    hits: list[RenderableType] = [Text("nothing", "dim")] if not found.results else []
    for hit in found.results:
        hits.append(Text.assemble((f"{hit.score:.3f}  ", "dim"), (hit.title or hit.document_id, "bold")))
        hits.append(Padding(excerpt(hit.passage.text, question, 64), (0, 0, 0, 7)))
    projection = found.projection
    seen = Text.assemble(("version  ", "dim"), (positions(projection.version), "cyan"), (f"  {took:.1f} ms", "dim"))
    return Group(*hits, Text(), seen, Text.assemble(("lag      ", "dim"), lag(projection)))


def read_your_writes(scene: Scene) -> Facts:
    """A write's token makes a reader wait until the answer covers it."""
    stage = scene.stage
    stage.act("Read your own write")
    first = _write_and_search(scene, 0)
    stage.say(f"PUT     “{_note(scene, 0)}”")
    covered = f"covered by version[/] [cyan]{positions(first.token)}[/]"
    stage.say(f"        [dim]acknowledged after {first.acknowledged:.0f} ms, {covered}")
    stage.say(f"SEARCH  “{scene.word}” [dim]at least at that version[/]")
    stage.check(_only(first.found) == NOTE, f"found [bold]{first.waited:.0f} ms[/] after the acknowledgement")
    times = [_write_and_search(scene, number).waited for number in range(1, 11)]
    median = statistics.median(times)
    stage.say(f"Ten more: median [bold]{median:.0f} ms[/], slowest {max(times):.0f} ms.")
    stage.check(
        scene.finds("someone who watches vessels in the dark", NOTE, scene.session.token, "dense"),
        "and by meaning: “someone who watches vessels in the dark” finds it too",
    )
    return [("write to search", f"{median:.0f} ms at the median")]


class OwnWrite(msgspec.Struct, frozen=True):
    """A write, the search that waited for it, and how many milliseconds each took."""

    token: str
    acknowledged: float
    found: Found
    waited: float


def _write_and_search(scene: Scene, number: int) -> OwnWrite:
    began = time.perf_counter()
    token = scene.session.add(scene.corpus.collection, NOTE, _note(scene, number), title="The lighthouse").version
    acknowledged = (time.perf_counter() - began) * 1000
    found, waited = scene.search(scene.word, "text", at_least=token)
    return OwnWrite(token, acknowledged, found, waited)


def _note(scene: Scene, number: int) -> str:
    return f"Note {number}: the keeper counts ships that pass at night. Password: {scene.word}."


def _only(found: Found) -> str | None:
    """The one document that was found."""
    return found.results[0].document_id if len(found.results) == 1 else None


def update_and_remove(scene: Scene) -> Facts:
    """The last event of a document wins, and nothing brings a removed one back."""
    stage, session, collection = scene.stage, scene.session, scene.corpus.collection
    stage.act("Update it, remove it")
    other = scene.word[::-1]
    text = f"The keeper left. The password is now {other}."
    token = session.add(collection, NOTE, text, title="The lighthouse").version
    stage.check(scene.finds(other, NOTE, token), f"updated: “{other}” finds the new text")
    stage.check(not scene.finds(scene.word, NOTE, token), f"and “{scene.word}”, the old one, finds nothing")
    token = session.remove(collection, NOTE).version
    stage.check(not scene.finds(other, NOTE, token), f"removed: “{other}” finds nothing either")
    stage.check(_is_gone(scene), "and reading it by its id says 404, with the version that makes this certain")
    return []


def _is_gone(scene: Scene) -> bool:
    try:
        scene.session.document(scene.corpus.collection, NOTE, wait=LONGEST_WAIT)
    except NotThere as gone:
        return "projection" in gone.body
    return False


def stop_the_embedder(scene: Scene) -> Facts:
    """A part fails; answers keep coming, and say how far behind they are."""
    stage = scene.stage
    stage.act("Stop the embedder: answers keep coming, and say how far behind they are")
    scene.stack.stop("embedder")
    for number in range(1, RINGS + 1):
        text = f"Ring {number} of the {scene.word} tree. It was a dry year, and the ring is narrow."
        scene.session.add(scene.corpus.collection, f"rings/{number}", text, title=f"Ring {number}")
    stage.say(f"The embedder is gone. {RINGS} documents about a [bold]{scene.word}[/] tree were added since.")
    lags = _watch(scene)
    stage.check(max(lags) >= RINGS, f"search admits to being {max(lags)} events behind, and its lag grows")
    refusal = scene.behind(scene.session.token)
    missing = 0 if refusal is None else refusal.missing
    claim = f"a reader who asks for what was just written is told 412, with the shortfall: {missing} events"
    stage.check(missing >= RINGS, claim)
    return []


def _watch(scene: Scene) -> list[int]:
    """Search again and again while nothing is embedded; the lags that the answers admit to."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("after", "search answers", "rings found", "lag: events", "seconds", "state", "ring read by id"):
        table.add_column(column)
    lags = []
    began = time.perf_counter()
    with scene.stage.growing(table) as redraw:
        for _ in range(6):
            time.sleep(0.7)
            found, took = scene.search(f"dry year {scene.word}", "text", RINGS)
            lags.append(found.projection.lag_events or 0)
            answered = (
                f"{time.perf_counter() - began:.1f} s",
                f"in {took:.0f} ms",
                f"{_rings(scene, found)} of {RINGS}",
            )
            table.add_row(*answered, *_lag(found.projection), _ring_by_id(scene))
            redraw()
    return lags


def _rings(scene: Scene, found: Found) -> int:
    """How many of this run's rings were found."""
    return sum(scene.word in hit.passage.text for hit in found.results)


def _lag(projection: Projection) -> tuple[str, str, Text]:
    events = "unknown" if projection.lag_events is None else str(projection.lag_events)
    seconds = "unknown" if projection.lag_seconds is None else f"{projection.lag_seconds:.1f}"
    return events, seconds, Text(projection.state, STATES.get(projection.state, ""))


def _ring_by_id(scene: Scene) -> str:
    """The documents are another projection, which needs no embedder."""
    text = scene.session.document(scene.corpus.collection, f"rings/{RINGS}", wait=LONGEST_WAIT).document.text
    return "there" if scene.word in text else "missing"


def start_it_again(scene: Scene) -> Facts:
    """It finds its place in the log and goes on; nothing is lost, nothing is done twice."""
    stage, session = scene.stage, scene.session
    stage.act("Start it again, and see it catch up")
    began = time.perf_counter()
    scene.stack.start("embedder")
    scene.catch_up("caught up", session.token, RINGS)
    took = time.perf_counter() - began
    found, _ = scene.search(f"{scene.word} tree", "text", RINGS * 2, session.token)
    stage.check(
        _rings(scene, found) == RINGS,
        f"all {RINGS} rings are found, {took:.1f} s after the start, model loading included",
    )
    stage.show(freshness_of(found.projection))
    return [("embedder started to caught up", f"{took:.1f} s")]


ACTS = (add, search, read_your_writes, update_and_remove, stop_the_embedder, start_it_again)

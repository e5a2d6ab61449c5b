"""How passages are read: searches by vector, by text and by both, and the collections there are.

A search finds the best passage of each document that matches, and returns the `k` best documents. Parameters of every
search: $1 the collection, $2 k, then the vector, the text, the filter (as `filters.path_of` makes it), as far as they
are there.
"""

import msgspec

from projections.reading import Generation, Question

FEW = 1_000
"""Up to so many passages are compared one by one: that is exact, and about as quick as the index is."""
CANDIDATES = 40
"""The fewest passages that the index is asked for: more than `k`, because a document may have several near ones."""
DEPTH = 100
"""How many documents of each ranking are fused, at least."""

# reciprocal rank fusion, with the constant of Cormack, Clarke and Büttcher (2009)
_FUSED = "1 / (60 + rank)::float8"

_NEAREST = """near AS MATERIALIZED (
    SELECT document_id, ordinal, vector <=> $3 AS distance FROM {schema}.passages AS p
    WHERE NOT ({few}) AND collection = $1{passing}
    ORDER BY vector <=> $3 LIMIT {candidates}
), approximate AS MATERIALIZED (
    SELECT DISTINCT ON (document_id) document_id, ordinal, distance FROM near ORDER BY document_id, distance, ordinal
), exact AS (
    SELECT DISTINCT ON (document_id) document_id, ordinal, vector <=> $3 AS distance FROM {matching}
    WHERE (SELECT count(*) < {depth} FROM approximate) AND {condition}
    ORDER BY document_id, distance, ordinal
), dense AS (
    SELECT document_id, ordinal, 1 - distance AS score FROM (
        SELECT * FROM approximate WHERE (SELECT count(*) >= {depth} FROM approximate) UNION ALL SELECT * FROM exact
    ) AS found
    ORDER BY score DESC, document_id LIMIT {depth}
)"""

_LEXEMES = r"""asked AS MATERIALIZED (
    SELECT string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery AS words
    FROM unnest(to_tsvector('{language}'::regconfig, {text}))
), lexical AS (
    SELECT document_id, ordinal, score FROM (
        SELECT DISTINCT ON (document_id) document_id, ordinal, ts_rank(lexemes, words, 1) AS score
        FROM asked, {matching}
        WHERE lexemes @@ (SELECT words FROM asked) AND {condition}
        ORDER BY document_id, score DESC, ordinal
    ) AS found
    ORDER BY score DESC, document_id LIMIT {depth}
)"""

_FUSION = f"""best AS (
    SELECT document_id, (array_agg(ordinal ORDER BY rank, source))[1] AS ordinal, sum({_FUSED}) AS score
    FROM (
        SELECT 1 AS source, *, row_number() OVER (ORDER BY score DESC, document_id) AS rank FROM dense
        UNION ALL
        SELECT 2 AS source, *, row_number() OVER (ORDER BY score DESC, document_id) AS rank FROM lexical
    ) AS ranked
    GROUP BY document_id
    ORDER BY score DESC, document_id LIMIT $2
)"""

_ROWS = """rows AS (
    SELECT row_number() OVER (ORDER BY score DESC, document_id) AS n, (
        SELECT json_build_object(
            'document_id', p.document_id, 'title', p.title, 'score', best.score,
            'passage', json_build_object('ordinal', p.ordinal, 'start', p.start, 'end', p."end", 'text', p.text),
            'metadata', d.metadata
        )
        FROM {schema}.passages p
        JOIN {schema}.documents d ON d.collection = p.collection AND d.document_id = p.document_id
        WHERE p.collection = $1 AND p.document_id = best.document_id AND p.ordinal = best.ordinal
    ) AS body
    FROM {best} AS best
)"""


class Dense(msgspec.Struct, frozen=True):
    """Passages by the cosine of their vectors to $3. Approximate where there are many, and never too few."""

    candidates: int
    filtered: bool

    def __call__(self, generation: Generation) -> str:
        """The statement's SQL."""
        nearest = _nearest(generation, self.candidates, "$4" if self.filtered else None, "$2")
        return f"{nearest}, {_ROWS.format(schema=generation.schema, best='dense')}"


class Lexical(msgspec.Struct, frozen=True):
    """Passages by the words of the text $3, any of them; exact."""

    filtered: bool

    def __call__(self, generation: Generation) -> str:
        """The statement's SQL."""
        ranked = _ranked(generation, "$3", "$4" if self.filtered else None, "$2")
        return f"{ranked}, {_ROWS.format(schema=generation.schema, best='lexical')}"


class Hybrid(msgspec.Struct, frozen=True):
    """Passages by the vector $3 and by the text $4, the two rankings fused."""

    candidates: int
    filtered: bool

    def __call__(self, generation: Generation) -> str:
        """The statement's SQL."""
        filter_, depth = "$5" if self.filtered else None, f"greatest($2, {DEPTH})"
        nearest = _nearest(generation, self.candidates, filter_, depth)
        ranked = _ranked(generation, "$4", filter_, depth)
        return f"{nearest}, {ranked}, {_FUSION}, {_ROWS.format(schema=generation.schema, best='best')}"


def dense(collection: str, k: int, vector: bytes, path: str | None = None) -> Question:
    """The documents nearest to a vector (little-endian float16 bytes)."""
    return Question(Dense(_candidates(k), path is not None), (collection, k, vector, *_bound(path)))


def lexical(collection: str, k: int, text: str, path: str | None = None) -> Question:
    """The documents that have one of the text's words, by how well they match all of them."""
    return Question(Lexical(path is not None), (collection, k, text, *_bound(path)))


def hybrid(collection: str, k: int, vector: bytes, text: str, path: str | None = None) -> Question:
    """The documents that rank best by vector and by text together."""
    return Question(Hybrid(_candidates(max(k, DEPTH)), path is not None), (collection, k, vector, text, *_bound(path)))


def collections() -> Question:
    """Every collection that has documents, with its counts."""
    return Question(_collections)


def _collections(generation: Generation) -> str:
    return f"""rows AS (
        SELECT row_number() OVER (ORDER BY collection) AS n, json_build_object(
            'name', collection, 'documents', sum(documents), 'passages', sum(passages)
        ) AS body
        FROM {generation.schema}.digests GROUP BY collection HAVING sum(documents) > 0
    )"""


def _candidates(k: int) -> int:
    """Twice `k`, in steps, so that there are few statements to keep prepared."""
    candidates = CANDIDATES
    while candidates < 2 * k:
        candidates *= 2
    return candidates


def _bound(path: str | None) -> tuple[str, ...]:
    return () if path is None else (path,)


def _nearest(generation: Generation, candidates: int, filter_: str | None, depth: str) -> str:
    schema = generation.schema
    return _NEAREST.format(
        schema=schema,
        candidates=candidates,
        depth=depth,
        few=_few(schema, filter_),
        # row by row, so that the order of the index stays the order of the answer
        passing=""
        if filter_ is None
        else f""" AND (SELECT {_passes(filter_)} FROM {schema}.documents AS d
            WHERE d.collection = p.collection AND d.document_id = p.document_id)""",
        matching=_matching(schema, filter_),
        condition=_condition(filter_),
    )


def _few(schema: str, filter_: str | None) -> str:
    """Whether there are at most `FEW` passages (by the documents, where a filter applies) to compare."""
    if filter_ is None:
        return f"SELECT coalesce(sum(passages), 0) <= {FEW} FROM {schema}.digests WHERE collection = $1"
    return f"""SELECT count(*) <= {FEW} FROM (
        SELECT FROM {schema}.documents WHERE collection = $1 AND {_passes(filter_)} LIMIT {FEW + 1}
    ) AS matching"""


def _ranked(generation: Generation, text: str, filter_: str | None, depth: str) -> str:
    return _LEXEMES.format(
        language=generation.language,
        text=text,
        depth=depth,
        matching=_matching(generation.schema, filter_),
        condition=_condition(filter_),
    )


def _matching(schema: str, filter_: str | None) -> str:
    if filter_ is None:
        return f"{schema}.passages"
    return f"{schema}.passages JOIN {schema}.documents USING (collection, document_id)"


def _condition(filter_: str | None) -> str:
    return "collection = $1" if filter_ is None else f"collection = $1 AND {_passes(filter_)}"


def _passes(filter_: str) -> str:
    return f"filterable @@ {filter_}::jsonpath"

"""Filters as SQL. The filter itself is a parameter: a predicate that `filters.path_of` made."""


def matching(schema: str, filter_: str | None) -> str:
    """The passages of collection $1, of documents that pass: what stands after FROM, and its condition."""
    if filter_ is None:
        return f"{schema}.passages WHERE collection = $1"
    return f"{schema}.passages JOIN {schema}.documents USING (collection, document_id) WHERE {_held(filter_)}"


def documents(schema: str, filter_: str) -> str:
    """The documents of collection $1 that pass: what stands after FROM, and its condition."""
    return f"{schema}.documents WHERE {_held(filter_)}"


def passes(schema: str, filter_: str, document_id: str) -> str:
    """Whether one document of collection $1 passes, looked up by its key: for rows that must stay in their order."""
    return (
        f"(SELECT d.filterable @@ {filter_}::jsonpath FROM {schema}.documents AS d "
        f"WHERE d.collection = $1 AND d.document_id = {document_id})"
    )


def _held(filter_: str) -> str:
    return f"collection = $1 AND filterable @@ {filter_}::jsonpath"

"""Passages without their HNSW index. Processes that fold a log import this, and so nothing that measures."""

from sqlalchemy import MetaData

from projections.passages import Passages

VECTORS = "passages_vector"


class WithoutVectorIndex(Passages):
    """The read model without its HNSW index, which costs more than all the rest."""

    def define(self, schema: str, dimensions: int | None) -> MetaData:
        """The tables in a generation's schema."""
        metadata = super().define(schema, dimensions)
        for table in metadata.tables.values():
            table.indexes = {index for index in table.indexes if index.name != VECTORS}
        return metadata

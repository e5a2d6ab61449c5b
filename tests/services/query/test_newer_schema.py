"""A query service that runs while a later version of Nenrin migrates the control schema under it."""

from tests.services.query.conftest import Nenrin

MIGRATE = "UPDATE nenrin.alembic_version SET version_num = '9999'"
HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'nenrin query%' \
AND datname = current_database()"


async def test_it_says_so_and_refuses_on_its_next_connection(nenrin: Nenrin) -> None:
    """Connections that it has go on, so that a rolling upgrade is no outage; /readyz says it at once."""
    await nenrin.add("a", "Rings.")
    assert (await nenrin.get("/collections/c/documents/a")).status_code == 200
    assert (await nenrin.http.get("/readyz")).status_code == 200
    await nenrin.owner.execute(MIGRATE)
    ready = await nenrin.http.get("/readyz")
    assert ready.status_code == 503
    assert "9999" in ready.json()["missing"]["postgres"]
    assert (await nenrin.get("/collections/c/documents/a")).status_code == 200
    await nenrin.owner.execute(HANG_UP)
    for _ in range(2):  # the first one may find out that its connection is gone
        refused = await nenrin.get("/collections/c/documents/a")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/newer-schema")
    assert "9999" in refused.json()["detail"]

"""Whether a state folder's supervisor is gone: it holds the folder's lock for as long as it lives, however it ends."""

from pathlib import Path


def is_abandoned(folder: Path) -> bool:
    """Whether a stack ran there and nobody keeps it running now; False where that can't be told."""
    try:
        import fcntl  # noqa: PLC0415  (not on Windows, where a stack can't run either)

        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def explanation(folder: Path) -> str:
    """What that means for who finds its endpoints.json, and what to do."""
    return (
        f"the stack in {folder} was killed, and nobody answers where its endpoints.json says:"
        f" start it again with `nenrin up --state {folder}`"
    )

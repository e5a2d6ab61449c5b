"""The demo on a small folder: it checks its own claims, so that it ends well is the proof."""

import subprocess
import sys
from pathlib import Path

from tests.running import environment

LONGEST = 300


def test_the_demo_plays_on_a_folder_and_leaves_nothing_running(tmp_path: Path) -> None:
    """Every act is played, everything claimed holds, the stack is stopped, and the picture is written."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for name, text in (("bread", "Knead the dough."), ("ships", "A brigantine has two masts."), ("trees", "Rings.")):
        (texts / f"{name}.md").write_text(f"# {name.title()}\n\n{text}\n")
    state, picture = tmp_path / "state", tmp_path / "demo.svg"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "nenrin", "demo", str(texts), "--state", str(state), "--record", str(picture)],
        env=environment({}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "everything is stopped" in done.stdout
    assert not (state / "endpoints.json").exists()
    assert picture.read_text().startswith("<svg")

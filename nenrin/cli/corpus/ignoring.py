"""Which files to pass over: `.gitignore`, `.nenrinignore` and `--ignore`, as git has it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from pathspec import GitIgnoreSpec, Pattern, RegexPattern

from schemas.errors import InvalidInput

FILES = (".gitignore", ".nenrinignore")


class Rules(msgspec.Struct, frozen=True):
    """Patterns, and the folder that they are about."""

    folder: Path
    spec: GitIgnoreSpec

    def judge(self, path: Path, is_folder: bool) -> bool | None:
        """Whether `path`, below the folder, is to be passed over; None when the patterns don't say."""
        name = path.relative_to(self.folder).as_posix()
        deciding = (each for each in reversed(self.spec.patterns) if each.include is not None)
        return next((each.include for each in deciding if _means(each, name, is_folder)), None)


def _means(pattern: Pattern, name: str, is_folder: bool) -> bool:
    """Whether a pattern is about this very path, as git has it.

    In pathspec one that fits a folder is about all below it too, which hides what another pattern takes back. Its
    group "ps_d" is the end of such a folder.
    """
    if not isinstance(pattern, RegexPattern) or pattern.regex is None:
        return False
    fits = pattern.regex.search(name)
    if fits is not None and fits.groupdict().get("ps_d") is None:
        return True
    folders = pattern.regex.finditer(f"{name}/") if is_folder else ()
    return any(fits.end() > len(name) and fits.groupdict().get("ps_d") is not None for fits in folders)


def spec(patterns: Iterable[str], option: str) -> GitIgnoreSpec:
    """Patterns of the command line. Raises `InvalidInput`, naming the option."""
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise InvalidInput(option, str(error)) from error


def ignored(path: Path, is_folder: bool, rules: Sequence[Rules]) -> bool:
    """Whether to pass over `path`: the last of the rules that says anything decides."""
    judgements = (each.judge(path, is_folder) for each in reversed(rules))
    return next((judged for judged in judgements if judged is not None), False)


def rules_in(folder: Path) -> list[Rules]:
    """The rules that a folder's own files hold. Raises `InvalidInput` for a file that cannot be understood."""
    return [Rules(folder, _read(folder / name)) for name in FILES if (folder / name).is_file()]


def _read(file: Path) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(file.read_text("utf-8-sig", errors="replace").split("\n"))
    except (ValueError, OSError) as error:
        raise InvalidInput(str(file), str(error)) from error


def rules_above(folder: Path) -> list[Rules]:
    """The rules of the folders around `folder`, up to the root of its git repository; none outside of one.

    Those that would pass over the folder itself don't count: whoever names it means it.
    """
    around = _up_to_repository(folder)
    rules = [each for parent in reversed(around) for each in rules_in(parent)]
    return [each for each in rules if not each.judge(folder, is_folder=True)]


def _up_to_repository(folder: Path) -> list[Path]:
    if (folder / ".git").exists():
        return []
    for number, parent in enumerate(folder.parents, 1):
        if (parent / ".git").exists():
            return list(folder.parents[:number])
    return []

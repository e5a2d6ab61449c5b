"""The command line: `nenrin`.

One module a command, imported when that command runs, so that `nenrin --help` answers at once and a client needs
none of the servers' packages.
"""

from nenrin.cli.app import main

__all__ = ["main"]

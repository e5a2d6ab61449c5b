"""`python -m nenrin` is `nenrin`."""

from nenrin.cli import main

main()

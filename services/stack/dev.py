"""Kafka and Postgres alone, in the foreground, for work on the services: `-m services.stack.dev --state DIR`."""

import argparse
import sys
from pathlib import Path

from services.stack.up import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="services.stack.dev")
    parser.add_argument("--state", type=Path, default=Path(".nenrin-dev"))
    sys.exit(run(parser.parse_args().state, free_ports=True, services=()))

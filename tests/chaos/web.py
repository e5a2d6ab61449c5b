"""The HTTP services as clients find them, while their ports change with every restart of the stack."""

import random

import httpx

from tests.chaos.stack import Stack

ANSWER_WITHIN = 40.0
NOWHERE = "http://127.0.0.1:9"  # nobody listens there
NO_TLS = False  # loopback alone; without it each of hundreds of clients would read all certificates


class Web:
    """One client for each instance that ever was."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._clients: dict[str, httpx.AsyncClient] = {}

    def one_of(self, service: str, chance: random.Random) -> httpx.AsyncClient:
        """A client of one instance of `command` or `query`."""
        return self.client(chance.choice(self._stack.urls(service) or [NOWHERE]))

    def client(self, url: str) -> httpx.AsyncClient:
        """The client of an instance."""
        if url not in self._clients:
            self._clients[url] = httpx.AsyncClient(base_url=url, timeout=ANSWER_WITHIN, verify=NO_TLS)
        return self._clients[url]

    async def aclose(self) -> None:
        """Let go of all connections."""
        for client in self._clients.values():
            await client.aclose()

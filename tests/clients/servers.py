"""Starts what the Python tests speak to: the hub, with and without `--dev`, and the examples.

Every server listens on a port of its own and is ended by its process id. Nothing here waits by the clock.
"""

import os
import pathlib
import subprocess
import threading
import unittest

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = pathlib.Path(os.environ.pop("FANFARE_BUILT", ROOT / "target/debug"))
FANFARE = os.environ.get("FANFARE_BIN", BUILT / "fanfare")
PROGRAMS = {
    "hub": lambda address: [FANFARE, "serve", "--dev", "--listen", address],
    "hub with keys": lambda address: [FANFARE, "serve", "--engine", "memory", "--listen", address],
    "actix": lambda address: [BUILT / "examples/actix", address],
    "axum": lambda address: [BUILT / "examples/axum", address],
    "blocking": lambda address: [BUILT / "examples/blocking", address],
    "hyper": lambda address: [BUILT / "examples/hyper", address],
}
HUB = "/.well-known/mercure"
DEADLINE_S = 60.0


class Server:
    """One process on a port of its own, ended by its process id."""

    def __init__(self, program, *more):
        self.program = program
        self.more = more
        self._begin("127.0.0.1:0")

    def _begin(self, address):
        environment = {**os.environ, "FANFARE_SHUTDOWN_WINDOW": "0", "RUST_LOG": "warn"}
        self.process = subprocess.Popen([*PROGRAMS[self.program](address), *self.more], stdout=subprocess.PIPE, text=True, env=environment)
        for line in self.process.stdout:
            if line.startswith("listening on http://"):
                self.base = line.split()[-1]
                break
        else:
            raise AssertionError(f"{self.program} ended before it listened")
        # The rest of what it prints has to go somewhere.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self, kill=True):
        self.process.kill() if kill else self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def again(self):
        self._begin(self.base.removeprefix("http://"))

    def publish(self, **fields):
        answer = httpx.post(self.base + HUB, data=fields)
        assert answer.status_code == 200, answer.text
        return answer.text


class Started(unittest.TestCase):
    def start(self, program, *more):
        """Starts `program`. Further arguments are the program's own."""
        server = Server(program, *more)
        self.addCleanup(server.stop)
        return server

"""Compressed streams read by requests, httpx and the modules gzip and zlib: event by event, and to an end that they check.

The next event is published only after the former was read, so whoever holds one back waits for ever.
"""

import gzip
import unittest
import urllib.request
import zlib

import httpx
import requests

from servers import DEADLINE_S, HUB, Started

DATA = ["small", "x" * 300, "{\"price\": 12}" * 500, "y" * 100_000, "small again"]
GZIP = {"Accept-Encoding": "gzip"}


class Compressed(Started):
    def read_one_by_one(self, server, pieces):
        """Publishes one after the other, each once the former was read."""
        text = ""
        for data in DATA:
            server.publish(topic="rooms/7", data=data)
            while f"data: {data}\n\n" not in text:
                text += next(pieces)
            text = ""

    def hub(self):
        return self.start("hub", "--compression", "gzip", "--keep-alive", "1s")

    def test_requests_reads_each_event_by_itself(self):
        server = self.hub()
        with requests.get(f"{server.base}{HUB}?match=rooms/7", headers=GZIP, stream=True, timeout=DEADLINE_S) as response:
            self.assertEqual(response.headers["content-encoding"], "gzip")
            pieces = response.iter_content(chunk_size=None)
            self.read_one_by_one(server, (piece.decode() for piece in pieces))

    def test_httpx_reads_each_event_by_itself(self):
        server = self.hub()
        with httpx.stream("GET", f"{server.base}{HUB}?match=rooms/7", headers=GZIP, timeout=DEADLINE_S) as response:
            self.assertEqual(response.headers["content-encoding"], "gzip")
            self.read_one_by_one(server, response.iter_text())

    def test_gzip_finds_the_end_whole_and_zlib_each_event(self):
        server = self.hub()
        request = urllib.request.Request(f"{server.base}{HUB}?match=rooms/7&last_event_id=lost", headers=GZIP)
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            body, inflate = bytearray(), zlib.decompressobj(wbits=31)

            def pieces():
                while piece := response.read1():
                    body.extend(piece)
                    yield inflate.decompress(piece).decode()

            reading = pieces()
            self.read_one_by_one(server, reading)
            while ":\n" not in next(reading):
                pass
            server.stop(kill=False)
            for _ in reading:
                pass
        self.assertTrue(inflate.eof)
        text = gzip.decompress(bytes(body)).decode()
        self.assertIn("fanfare.gap", text)
        self.assertTrue(text.rsplit("retry: ", 1)[1].strip().isdigit())


if __name__ == "__main__":
    unittest.main(verbosity=2)

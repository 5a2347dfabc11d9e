"""Python's httpx-sse against the hub and the examples.

httpx-sse reads one response and does not reconnect: whoever uses it writes that loop, as `Reader` does here. Nothing
waits by the clock; a read that takes longer than any healthy run ends the test.
"""

import json
import re
import socket
import struct
import threading
import unittest
from collections import namedtuple

import httpx
import httpx_sse

from servers import DEADLINE_S, HUB, Started

Event = namedtuple("Event", "type data id")


class Relay:
    """One connection to a server: its answer goes no further than a pattern, and ends there as it is told."""

    def __init__(self, server, until):
        self._far = socket.create_connection(("127.0.0.1", int(server.base.rpartition(":")[2])), DEADLINE_S)
        self._until = until
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE_S)
        self.base = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._near = None
        self._reached = threading.Event()
        self._thread = threading.Thread(target=self._pass, daemon=True)
        self._thread.start()

    def _pass(self):
        self._near, _ = self._listener.accept()
        self._near.settimeout(DEADLINE_S)
        request = b""
        while b"\r\n\r\n" not in request:
            request += self._near.recv(65536)
        self._far.sendall(request)
        answer, sent = b"", 0
        while not self._reached.is_set():
            answer += self._far.recv(65536)
            match = re.search(self._until, answer, re.MULTILINE)
            end = match.end() if match else len(answer)
            self._near.sendall(answer[sent:end])
            sent = end
            if match:
                self._reached.set()

    def end(self, reset):
        """Ends the connection when the pattern has gone through."""
        assert self._reached.wait(DEADLINE_S), "the pattern was not sent"
        if reset:
            self._near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._near.close()

    def close(self):
        self._thread.join()
        for each in (self._listener, self._far, self._near):
            each.close()


class Reader:
    """Reads events for ever: comes back with the last event ID whenever the stream ends."""

    def __init__(self, url, last_event_id=None):
        self.url = url
        self.last_event_id = last_event_id
        self.client = httpx.Client(timeout=httpx.Timeout(DEADLINE_S), trust_env=False)
        self.connected = threading.Event()
        self.events = self._events()

    def _events(self):
        while True:
            headers = {} if self.last_event_id is None else {"Last-Event-ID": self.last_event_id}
            try:
                with httpx_sse.connect_sse(self.client, "GET", self.url, headers=headers) as source:
                    assert source.response.status_code == 200, source.response.status_code
                    self.connected.set()
                    for event in source.iter_sse():
                        self.last_event_id = event.id or self.last_event_id
                        # A block of `retry` alone is no event, but httpx-sse reports it as an empty one.
                        if event.data or event.retry is None:
                            yield Event(event.event, event.data, event.id)
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                pass

    def take(self, count):
        return [next(self.events) for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.events.close()
        self.client.close()


class TheHub(Started):
    def test_every_kind_of_event_arrives_as_it_was_published(self):
        hub = self.start("hub")
        publications = [
            ("message", "plain", "plain"),
            ("message", "one\ntwo\r\nthree\rfour", "one\ntwo\nthree\nfour"),
            ("message", "Grüße, 世界 🎺", "Grüße, 世界 🎺"),
            ("message", "", ""),
            ("message", "it ends with a newline\n", "it ends with a newline\n"),
            ("message", "  led by spaces", "  led by spaces"),
            ("message", "id: forged\n\nevent: forged", "id: forged\n\nevent: forged"),
            ("price", "12.50", "12.50"),
        ]
        # The history is replayed to whoever asks for the earliest: no race with a live subscription.
        expected = []
        for kind, data, arrives in publications:
            kind_field = {} if kind == "message" else {"type": kind}
            expected.append(Event(kind, arrives, hub.publish(topic="rooms/7", data=data, **kind_field)))
        with Reader(f"{hub.base}{HUB}?match=rooms/7", "earliest") as reader:
            self.assertEqual(reader.take(len(expected)), expected)
            live = Event("message", "live", hub.publish(topic="rooms/7", data="live"))
            self.assertEqual(next(reader.events), live)

    def test_what_is_published_while_away_arrives_once_and_in_order(self):
        """P1, P2, P3."""
        hub = self.start("hub")
        first = Event("message", "first", hub.publish(topic="rooms/7", data="first"))
        with Reader(f"{hub.base}{HUB}?match=rooms/7", "earliest") as reader:
            self.assertEqual(next(reader.events), first)
        missed = [Event("message", data, hub.publish(topic="rooms/7", data=data)) for data in "abc"]
        with Reader(f"{hub.base}{HUB}?match=rooms/7", reader.last_event_id) as reader:
            self.assertEqual(reader.take(3), missed)
            live = Event("message", "live", hub.publish(topic="rooms/7", data="live"))
            self.assertEqual(next(reader.events), live)

    def test_after_a_restart_there_is_exactly_one_gap_and_then_the_stream_goes_on(self):
        """P2, P6."""
        hub = self.start("hub")
        first = Event("message", "first", hub.publish(topic="rooms/7", data="first"))
        with Reader(f"{hub.base}{HUB}?match=rooms/7", "earliest") as reader:
            self.assertEqual(next(reader.events), first)
            hub.stop()
            hub.again()
            gap = next(reader.events)
            self.assertEqual(gap.type, "fanfare.gap")
            self.assertEqual(json.loads(gap.data), {"reason": "rewound", "after": first.id})
            live = Event("message", "live", hub.publish(topic="rooms/7", data="live"))
            self.assertEqual(next(reader.events), live)


class TheEndsOfAStream(Started):
    """The body ends with its last chunk, and httpx tells that from everything else."""

    HALF = rb"data: hal"
    WHOLE = rb"data: half\n\n"

    def read(self, base, end):
        """Reads a stream to its end, which `end` brings about when the head is there."""
        self.text = ""
        with httpx.Client(timeout=DEADLINE_S, trust_env=False) as client, client.stream("GET", base + HUB + "?match=rooms/7") as answer:
            pieces = answer.iter_text()
            end(pieces)
            for piece in pieces:
                self.text += piece

    def saw(self, pieces, text):
        while text not in self.text:
            self.text += next(pieces)

    def stop(self, kill):
        hub = self.start("hub")

        def end(pieces):
            hub.publish(topic="rooms/7", data="the last")
            self.saw(pieces, "data: the last\n\n")
            hub.stop(kill)

        self.read(hub.base, end)

    def test_a_hub_that_ends_in_order_is_a_clean_end_behind_a_retry(self):
        self.stop(kill=False)
        self.assertRegex(self.text, r"data: the last\n\nretry: \d+\n\n$")

    def test_a_hub_that_is_killed_is_a_broken_end(self):
        with self.assertRaises(httpx.RemoteProtocolError):
            self.stop(kill=True)
        self.assertRegex(self.text, r"data: the last\n\n$")

    def cut(self, until, last, reset):
        hub = self.start("hub")
        relay = Relay(hub, until)
        self.addCleanup(relay.close)

        def end(pieces):
            hub.publish(topic="rooms/7", data="half")
            self.saw(pieces, last)
            relay.end(reset)

        self.read(relay.base, end)

    def test_a_connection_that_ends_in_the_middle_of_an_event_is_a_broken_end(self):
        with self.assertRaises(httpx.RemoteProtocolError):
            self.cut(self.HALF, "\ndata: hal", reset=False)
        self.assertRegex(self.text, r"\ndata: hal$")

    def test_a_reset_is_a_broken_end_between_two_events_and_in_the_middle_of_one(self):
        for until, last in ((self.WHOLE, "data: half\n\n"), (self.HALF, "data: hal")):
            with self.subTest(last), self.assertRaises(httpx.ReadError):
                self.cut(until, last, reset=True)

    def test_half_an_event_is_not_dispatched(self):
        """By httpx-sse, which stands above httpx."""
        for until in (rb"id: #.*\nd", self.HALF, rb"data: half\n"):
            with self.subTest(until):
                hub = self.start("hub")
                relay = Relay(hub, until)
                self.addCleanup(relay.close)
                with httpx.Client(timeout=DEADLINE_S, trust_env=False) as client:
                    with httpx_sse.connect_sse(client, "GET", f"{relay.base}{HUB}?match=rooms/7") as source:
                        hub.publish(topic="rooms/7", data="half")
                        relay.end(reset=False)
                        with self.assertRaises(httpx.RemoteProtocolError):
                            self.assertEqual([event for event in source.iter_sse() if event.data], [])


class TheExamples(Started):
    def each(self):
        for program in ("actix", "axum", "blocking", "hyper"):
            with self.subTest(program):
                yield self.start(program)

    def test_ticks_arrive_and_the_close_event_ends_them(self):
        for server in self.each():
            with Reader(f"{server.base}/events?count=2") as reader:
                self.assertEqual(reader.take(2), [Event("message", "tick 1", "1"), Event("message", "tick 2", "2")])
                end = next(reader.events)
                self.assertEqual((end.type, end.data), ("close", "Closing the connection"))

    def test_after_a_restart_the_ticks_go_on_where_they_were(self):
        for server in self.each():
            with Reader(f"{server.base}/events") as reader:
                reader.take(2)
                server.stop()
                server.again()
                # What had come before it was stopped may still be read; none may be missing or doubled.
                self.assertEqual(reader.take(3), [Event("message", f"tick {n}", str(n)) for n in (3, 4, 5)])


if __name__ == "__main__":
    unittest.main(verbosity=2)

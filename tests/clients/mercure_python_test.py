"""PyPI's pymercure and mercure-publisher, and sseclient-py on requests, which pymercure reads with, against a hub with keys.

All of them are of the years before Mercure 1.0: they subscribe by `topic`, and their tokens have a claim `mercure`. Nothing
waits by the clock; a read that takes longer than any healthy run ends the test.
"""

import asyncio
import json
import queue
import subprocess
import sys
import threading
import unittest
from collections import namedtuple

import jwt
import requests
import sseclient
from mercure_publisher import AsyncMercurePublisher, MercureConfig, MercurePublisher, MercurePublishError
from pymercure.consumer import Consumer
from pymercure.exceptions import PublishRejectedError, UnauthorizedPublisherError
from pymercure.message import Message
from pymercure.publisher.sync import SyncPublisher

from servers import DEADLINE_S, HUB, Started

PUBLISHERS_KEY = "a secret that is for publishers alone"
SUBSCRIBERS_KEY = "a secret that is for subscribers alone"
BOOKS = "https://shop.test/books/{id}"
BOOK = "https://shop.test/books/1"
AUTHOR = "https://shop.test/authors/7"

Event = namedtuple("Event", "type data id")


def token(key, **mercure):
    return jwt.encode({"mercure": mercure}, key, algorithm="HS256")


class Pymercure:
    """pymercure's subscriber. It reads on a thread of its own, and shows no token."""

    def __init__(self, hub, *topics):
        self.came = queue.Queue()
        self.thread = Consumer(hub.base + HUB, list(topics), self.came.put)
        self.thread.daemon = True
        self.thread.start_consumption()

    def next(self):
        message = self.came.get(timeout=DEADLINE_S)
        return Event(message.event_type, message.data, message.message_id)


class Sseclient:
    """sseclient-py on a request of one's own, which can show a token."""

    def __init__(self, hub, *topics, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        response = requests.get(hub.base + HUB, params={"topic": topics}, headers=headers, stream=True)
        response.raise_for_status()
        self.came = queue.Queue()
        self.thread = threading.Thread(target=self._read, args=[sseclient.SSEClient(response)], daemon=True)
        self.thread.start()

    def _read(self, client):
        for event in client.events():
            self.came.put(event)

    def next(self):
        self.last = self.came.get(timeout=DEADLINE_S)
        return Event(self.last.event, self.last.data, self.last.id)


class WithKeys(Started):
    def setUp(self):
        keys = ("--publisher-jwt-key", PUBLISHERS_KEY, "--subscriber-jwt-key", SUBSCRIBERS_KEY)
        self.hub = self.start("hub with keys", "--anonymous", *keys)
        # In order, or the threads that read would complain.
        self.addCleanup(self.hub.stop, kill=False)
        self.url = self.hub.base + HUB


class TheSubscribers(WithKeys):
    """What they read, by whomever it is published."""

    def setUp(self):
        super().setUp()
        self.publisher = SyncPublisher(self.url, token(PUBLISHERS_KEY, publish=["*"]))

    def publish(self, data, topic=BOOK, **more):
        return self.publisher.publish(Message([topic], data, **more))

    def test_a_small_event_arrives_before_the_next_one_is_published(self):
        for make in (Pymercure, Sseclient):
            with self.subTest(make.__name__):
                subscriber = make(self.hub, BOOK)
                for data in ("1", "2", "3"):
                    id = self.publish(data)
                    self.assertEqual(subscriber.next(), Event("message", data, id))
                self.assertTrue(subscriber.thread.is_alive(), "the stream has ended")

    def test_every_kind_of_event_arrives_as_it_was_published(self):
        publications = [
            ("plain", "plain", {}),
            ("one\ntwo\r\nthree\rfour", "one\ntwo\nthree\nfour", {}),
            ("Grüße, 世界 🎺", "Grüße, 世界 🎺", {}),
            ("", "", {}),
            ("  led by spaces", "  led by spaces", {}),
            ("id: forged\n\nevent: forged", "id: forged\n\nevent: forged", {}),
            ("12.50", "12.50", {"event_type": "price"}),
            ("with an id of mine", "with an id of mine", {"message_id": "urn:example:1"}),
        ]
        for make in (Pymercure, Sseclient):
            with self.subTest(make.__name__):
                subscriber = make(self.hub, BOOK)
                for data, arrives, more in publications:
                    id = self.publish(data, **more)
                    self.assertEqual(id, more.get("message_id", id))
                    self.assertEqual(subscriber.next(), Event(more.get("event_type", "message"), arrives, id))

    def test_topics_may_be_several_texts_and_templates(self):
        subscriber = Pymercure(self.hub, BOOKS, AUTHOR)
        self.publish("another author", "https://shop.test/authors/8")
        self.publish("below a book", f"{BOOK}/pages")
        for topic in (BOOK, AUTHOR):
            id = self.publish("news", topic)
            self.assertEqual(subscriber.next(), Event("message", "news", id))

    def test_a_hub_that_ends_in_order_ends_the_loop(self):
        ends = []
        for make in (Pymercure, Sseclient):
            subscriber = make(self.hub, BOOK)
            id = self.publish("the last")
            self.assertEqual(subscriber.next().id, id)
            ends.append(subscriber.thread)
        failures = []
        threading.excepthook, before = failures.append, threading.excepthook
        self.addCleanup(setattr, threading, "excepthook", before)
        self.hub.stop(kill=False)
        for thread in ends:
            thread.join(DEADLINE_S)
            self.assertFalse(thread.is_alive(), "it still reads")
        self.assertEqual(failures, [])

    def test_who_shows_a_token_reads_what_is_private(self):
        reader = Sseclient(self.hub, BOOKS, token=token(SUBSCRIBERS_KEY, subscribe=[BOOK]))
        anonymous = Pymercure(self.hub, BOOKS)
        with MercurePublisher(MercureConfig(self.url, PUBLISHERS_KEY, [BOOKS])) as publisher:
            secret = publisher.publish("https://shop.test/books/2", "not for this reader", private=True)
            private = publisher.publish(BOOK, "for who may read it", private=True)
            public = publisher.publish(BOOK, "for all")
        self.assertEqual(reader.next(), Event("message", "for who may read it", private))
        self.assertEqual(reader.next(), Event("message", "for all", public))
        self.assertEqual(anonymous.next(), Event("message", "for all", public))
        self.assertEqual(len({secret, private, public}), 3)

    def test_the_key_of_publishers_opens_no_stream(self):
        with self.assertRaises(requests.HTTPError) as refused:
            Sseclient(self.hub, BOOKS, token=token(PUBLISHERS_KEY, subscribe=["*"]))
        self.assertEqual(refused.exception.response.status_code, 401)


class ThePublishers(WithKeys):
    def test_pymercure_publishes_to_several_topics(self):
        publisher = SyncPublisher(self.url, token(PUBLISHERS_KEY, publish=[BOOKS, AUTHOR]))
        # `target` is of an early draft: it counts for nothing.
        message = Message([BOOK, AUTHOR], "news", target="https://shop.test/users/1", event_type="book", message_id="urn:example:2")
        subscribers = [Pymercure(self.hub, topic) for topic in (BOOK, AUTHOR)]
        self.assertEqual(publisher.publish(message), "urn:example:2")
        for subscriber in subscribers:
            self.assertEqual(subscriber.next(), Event("book", "news", "urn:example:2"))

    def test_pymercure_publishes_on_gevent(self):
        # In a process of its own: grequests exchanges the sockets of the whole process for gevent's.
        program = """if True:
            import importlib, sys
            from pymercure.message import Message
            module = importlib.import_module("pymercure.publisher.async")
            print(module.AsyncPublisher(*sys.argv[1:3]).publish(Message([sys.argv[3]], "news")))
        """
        subscriber = Pymercure(self.hub, BOOK)
        arguments = [self.url, token(PUBLISHERS_KEY, publish=[BOOK]), BOOK]
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=DEADLINE_S)
        self.assertEqual(subscriber.next(), Event("message", "news", done.stdout.strip()), done.stderr)

    def test_pymercure_tells_a_bad_token_from_one_without_the_grant(self):
        for expected, bearer in (
            (UnauthorizedPublisherError, token(SUBSCRIBERS_KEY, publish=["*"])),
            (UnauthorizedPublisherError, token(PUBLISHERS_KEY, publish=["*"]) + "A"),
            (PublishRejectedError, token(PUBLISHERS_KEY, publish=[AUTHOR])),
            (PublishRejectedError, token(PUBLISHERS_KEY, subscribe=["*"])),
        ):
            with self.subTest(bearer=bearer), self.assertRaises(expected):
                SyncPublisher(self.url, bearer).publish(Message([BOOK], "news"))

    def test_mercure_publisher_sends_every_field(self):
        config = MercureConfig(self.url, PUBLISHERS_KEY, [BOOKS, AUTHOR], jwt_additional_claims={"sub": "shop"})
        fields = {"private": True, "id": "urn:example:3", "type": "book", "retry": 1500}
        expected = Event("book", json.dumps({"status": "published"}), "urn:example:3")

        def sync():
            with MercurePublisher(config) as publisher:
                return publisher.publish([BOOK, AUTHOR], {"status": "published"}, **fields)

        async def later():
            async with AsyncMercurePublisher(config) as publisher:
                return await publisher.publish([BOOK, AUTHOR], {"status": "published"}, **fields)

        readers = [
            Sseclient(self.hub, topic, token=token(SUBSCRIBERS_KEY, subscribe=[topic])) for topic in (BOOK, AUTHOR)
        ]
        for publish in (sync, lambda: asyncio.run(later())):
            self.assertEqual(publish(), "urn:example:3")
            for reader in readers:
                self.assertEqual(reader.next(), expected)
                self.assertEqual(reader.last.retry, "1500")

    def test_mercure_publisher_is_told_why_it_is_refused(self):
        for status, key, topics in ((401, SUBSCRIBERS_KEY, ["*"]), (403, PUBLISHERS_KEY, [AUTHOR])):
            with self.subTest(status), MercurePublisher(MercureConfig(self.url, key, topics)) as publisher:
                with self.assertRaises(MercurePublishError) as refused:
                    publisher.publish(BOOK, "news")
                self.assertEqual(refused.exception.status_code, status)
                self.assertNotEqual(refused.exception.response_body, "")


if __name__ == "__main__":
    unittest.main(verbosity=2)

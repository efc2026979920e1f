"""A model that writes down what it runs, and clients of every kind that call it as fast as they can.

    quick(id: int64) -> y    2 * id + 1
    slow(id: int64) -> y     the same, after a loop

A request is one or more rows of its own id, and each run appends the ids of its rows to a file before anything else.
So a call that was refused, though it ran, can be distinguished from one that was refused in time.
"""

import random
import threading
from collections import Counter

import grpc
import numpy as np

from tests.batching.callers import LATE_CODES, PREDICT, outputs_of, request_bytes
from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session
from tests.process.transport import PATIENCE_S, connect

MODEL = "recorded"
# Of about 3 microseconds each.
STEPS = 1000
IN_FLIGHT = 4
MOST_ROWS = 3
READS, LEAVES, HURRIES = "reads", "leaves", "hurries"
FINE = ANSWERED, REFUSED, DROPPED, LEFT, LATE, CUT = "answered", "refused", "dropped", "left", "late", "cut"
# A client that cancels a call, or whose deadline passes, writes to its connection. If the server has just closed that,
# the system reports that to the client at once, and drops the replies that the client had not read yet.
CUT_DETAILS = ("Broken pipe", "Connection reset", "Socket closed", "Stream removed")
# grpc's core answers CANCELLED to calls that arrive while it closes their connection.
UNRUN = {grpc.StatusCode.UNAVAILABLE: REFUSED, grpc.StatusCode.CANCELLED: DROPPED}


class RecordedModel:
    """The model below a folder, as `tests.serving.start` takes it, and what it has run."""

    def __init__(self, folder):
        self._folder, self._record = folder, folder / "record"
        with tf1_session() as session:
            save_tf1(session, folder / MODEL / "1", self._signatures())

    def base_path(self, name):
        return self._folder / name

    def ran(self):
        """How many rows of each request were run."""
        text = self._record.read_text() if self._record.exists() else ""
        return Counter(int(word) for word in text.replace("[", " ").replace("]", " ").split())

    def _signatures(self):
        signatures = {}
        for key, steps in {"quick": 0, "slow": STEPS}.items():
            ids = placeholder(tf.int64, [None], f"{key}_id")
            noted = tf.print(ids, output_stream=f"file://{self._record}", summarize=-1)
            with tf.control_dependencies([noted]):
                y = 2 * ids + 1
            if steps:
                (y,) = tf.while_loop(
                    lambda y, last=ids[0] * 2 + 1 + steps: y[0] < last, lambda y: (y + 1,), (y,)
                )  # fmt: skip
                y -= steps
            signatures[key] = signature({"id": ids}, {"y": y})
        return signatures


class Crowd:
    """Clients of a server, one thread each, that call until they get UNAVAILABLE.

    Attributes:
        faults: What was wrong with an answer.
        rows: How many rows each request had, by its id.
        answered: The ids of the requests that had their reply.
        refused: The ids of those that got UNAVAILABLE, or were dropped.
        counts: Answers, by what they were: FINE, or a fault.
    """

    def __init__(self, address, kinds=(READS, READS, LEAVES, HURRIES), keys=("quick", "slow")):
        """Start them: one for each kind and each signature."""
        self.faults, self.rows, self.answered, self.refused, self.counts = [], {}, [], [], Counter()
        self._lock, self._replied, self._address = threading.Lock(), threading.Semaphore(0), address
        clients = enumerate((kind, key) for kind in kinds for key in keys)
        self._threads = [
            threading.Thread(target=self._call, args=(number, *client), daemon=True) for number, client in clients
        ]
        for thread in self._threads:
            thread.start()

    def await_replies(self, count):
        """Wait until so many calls were answered well."""
        for _ in range(count):
            assert self._replied.acquire(timeout=PATIENCE_S), self.faults

    def await_end(self):
        """Wait until all have got UNAVAILABLE, and all their calls are over."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
        assert [thread for thread in self._threads if thread.is_alive()] == []

    def _call(self, number, kind, key):
        chance = random.Random(number)
        with connect(self._address) as channel:
            call, ids, in_flight, is_refused = (
                channel.unary_unary(PREDICT),
                iter(range(number, 1 << 30, 100)),
                [],
                False,
            )
            while in_flight or not is_refused:
                while len(in_flight) < IN_FLIGHT and not is_refused:
                    in_flight.append(self._begin(call, next(ids), kind, key, chance))
                is_refused |= self._end(*in_flight.pop(0), kind)

    def _begin(self, call, own_id, kind, key, chance):
        rows = self.rows[own_id] = chance.randint(1, MOST_ROWS)
        message = request_bytes(MODEL, key, {"id": np.full(rows, own_id)})
        sent = call.future(message, timeout=chance.uniform(0.001, 0.02) if kind == HURRIES else PATIENCE_S)
        if kind == LEAVES and chance.random() < 0.5:
            sent.cancel()
        return own_id, sent

    def _end(self, own_id, sent, kind):
        """Note the answer to a call; gives whether it was UNAVAILABLE."""
        what = self._read(own_id, sent, kind)
        with self._lock:
            self.counts[what] += 1
            if what not in FINE:
                self.faults.append(what)
            elif what == ANSWERED:
                self.answered.append(own_id)
            elif what in {REFUSED, DROPPED}:
                self.refused.append(own_id)
        if what == ANSWERED:
            self._replied.release()
        return what == REFUSED

    def _read(self, own_id, sent, kind):
        """One of FINE, or what is wrong with an answer."""
        try:
            y = outputs_of(sent.result(PATIENCE_S))["y"].tolist()
        except grpc.FutureCancelledError:
            return LEFT
        except grpc.RpcError as error:
            if kind in {LEAVES, HURRIES} and any(text in error.details() for text in CUT_DETAILS):
                return CUT
            if error.code() in UNRUN:
                return UNRUN[error.code()]
            return LATE if kind == HURRIES and error.code() in LATE_CODES else f"{own_id}: {error!r}"
        return ANSWERED if y == [2 * own_id + 1] * self.rows[own_id] else f"{own_id}: {y}"


def check(crowd, model):
    """No reply was wrong, none was lost, what was refused had not run, and nothing ran twice."""
    ran = model.ran()
    assert crowd.faults == []
    assert [own_id for own_id in crowd.refused if own_id in ran] == []
    # Callers who leave, or whose deadlines pass, call on while calls are held; without the pause many more would be.
    assert crowd.counts[DROPPED] <= crowd.counts[REFUSED] / 4
    assert [own_id for own_id in crowd.answered if ran[own_id] != crowd.rows[own_id]] == []
    assert [own_id for own_id, rows in crowd.rows.items() if ran[own_id] > rows] == []

"""A DNS that answers late or never: names are the client's, and the server looks none up once it listens."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import Final

import numpy as np

from benchmarks.resilience.callers import MODEL, RIGHT, Callers, describe_losses
from benchmarks.resilience.lab import Lab
from benchmarks.resilience.results import Result
from servable_client import Client, ServingError

_LATE_S: Final = 1.0
_SHORT_S: Final = 0.3
_PATIENCE_S: Final = 20.0
# Behind a timeout a client may take so long to say so.
_SLACK_S: Final = 0.5
_HEADER, _ANSWER = struct.Struct("!6H"), struct.Struct("!3HIH4s")
_A_RECORD: Final = 1


class LateDns:
    """A DNS server on loopback over UDP that answers every question for an IPv4 address late, with 127.0.0.1."""

    def __init__(self, late_s: float | None) -> None:
        """Listen.

        Args:
            late_s: How late it answers; None for never.
        """
        self._late_s = late_s
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.questions = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> LateDns:  # noqa: PYI034  (Self is of Python 3.11)
        self._thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        # What is none of a question's length ends the thread.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(_PATIENCE_S)
        self._socket.close()

    def _serve(self) -> None:
        while question_from := self._socket.recvfrom(4096):
            question, sender = question_from
            if not question:
                return
            self.questions += 1
            if self._late_s is not None:
                threading.Timer(self._late_s, self._answer, (question, sender)).start()

    def _answer(self, question: bytes, sender: object) -> None:
        number, flags, *_ = _HEADER.unpack_from(question)
        end = question.index(b"\0", _HEADER.size) + 5
        (kind,) = struct.unpack_from("!H", question, end - 4)
        answers = int(kind == _A_RECORD)
        reply = _HEADER.pack(number, 0x8180 | flags & 0x0100, 1, answers, 0, 0) + question[_HEADER.size : end]
        if answers:
            reply += _ANSWER.pack(0xC00C, _A_RECORD, 1, 60, 4, socket.inet_aton("127.0.0.1"))
        try:
            self._socket.sendto(reply, sender)
        except OSError:
            return


def answer_late(lab: Lab) -> Result:
    """Clients by name beside clients by address: those wait, but no longer than they said; these notice nothing."""
    faults: list[str] = []
    with lab.server(lab.place(1)) as server, Callers(server) as callers:
        callers.wait_until_right(time.monotonic(), _PATIENCE_S)
        with LateDns(_LATE_S) as dns:
            hurried_s, hurried = _call(dns, server.port, _SHORT_S)
            patient_s, patient = _call(dns, server.port, _PATIENCE_S)
            faults += ["no name was looked up"] * (dns.questions == 0)
        with LateDns(None) as dns:
            silent_s, silent = _call(dns, server.port, _LATE_S)
        time.sleep(lab.size.settle_s)
    outcomes = callers.outcomes()
    faults += [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != RIGHT]
    faults += [f"a patient client: {patient}"] * (patient != RIGHT)
    faults += [f"a hurried client: {hurried} after {hurried_s:.1f} s"] * (hurried_s > _SHORT_S + _SLACK_S)
    faults += [f"without answers: {silent} after {silent_s:.1f} s"] * (silent_s > _LATE_S + _SLACK_S)
    faults += ["a call without a name was answered"] * (RIGHT in {silent, hurried})
    figures = {
        "calls by address": outcomes.total(),
        f"by name, timeout {_PATIENCE_S:g} s: {patient} after, s": patient_s,
        f"by name, timeout {_SHORT_S:g} s: {hurried} after, s": hurried_s,
        f"no answer, timeout {_LATE_S:g} s: {silent} after, s": silent_s,
    }
    return Result(
        f"a DNS that answers after {_LATE_S:g} s, and one that never does",
        describe_losses(outcomes),
        None,
        faults,
        figures,
    )


def _call(dns: LateDns, port: int, timeout_s: float) -> tuple[float, str]:
    """One call by name from a client of its own: the seconds that it took, and what came of it."""
    number, begun_s = 7, time.monotonic()
    try:
        with Client(
            f"dns://127.0.0.1:{dns.port}/late.test:{port}", retries=0, timeout_s=timeout_s, infer=False
        ) as client:
            reply = client.predict({"x": np.array([number])}, model=MODEL)
        outcome = RIGHT if reply["echo"].tolist() == [number] else "wrong"
    except ServingError as error:
        outcome = error.code.name
    return time.monotonic() - begun_s, outcome

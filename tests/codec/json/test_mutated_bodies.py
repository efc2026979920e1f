"""Whatever a body holds, it is read or refused with a ServingError.

`SERVABLE_MUTATIONS=100000` tries more of them.
"""

import functools
import os
import random

from servable import wire
from servable.codec.json import reading
from servable.errors import Code, ServingError
from tests.codec.json.requests import ALL_DTYPES, inputs

COUNT = int(os.environ.get("SERVABLE_MUTATIONS", "5000"))
SEEDS = [
    b'{"instances": [1.0, 2.0, 5.0]}',
    b'{"signature_name": "serving_default", "inputs": {"x": [[1, 2], [3, 4]], "y": ["a", {"b64": "YQ=="}]}}',
    b'{"instances": [{"x": [1.5], "y": true}, {"x": [-1e3], "y": false}]}',
    b'{"examples": [{"x": [1, 2], "s": "\\u00e9\\ud83d\\ude00"}], "context": {"c": NaN}}',
    b'{"instances": [' + b",".join([b"[0.25, 1, -3e-2]"] * 60) + b"]}",
    b'{"inputs": [[Infinity, -Inf, null], [], {}]} \xff',
]
PIECES = [
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b'"',
    b"\\u",
    b"\\",
    b"NaN",
    b"Inf",
    b"1e999",
    b"-",
    b"\0",
    b"\xff",
    b"9" * 40,
]
PIECES += [b'{"b64":', b'"x":', b"null", b"[" * 70, b'"instances":', b'"inputs":', b" " * 600]


def mutate(body, rng):
    for _ in range(rng.randrange(1, 5)):
        start, end = sorted(rng.randrange(len(body) + 1) for _ in range(2))
        choice = rng.randrange(5)
        if choice == 0:
            body = body[:start] + body[end:]
        elif choice == 1:
            body = body[:start] + rng.choice(PIECES) + body[start:]
        elif choice == 2:
            body = body[:end] + body[start:end] + body[end:]
        elif choice == 3:
            body = body[:start] + rng.choice(SEEDS)[: rng.randrange(60)] + body[end:]
        else:
            body = body[:start] + bytes((rng.randrange(256),)) + body[start + 1 :]
    return body


def outcome_of(read):
    try:
        read()
    except ServingError as error:
        return error.code
    return "read"


def test_mutated_bodies_are_read_or_refused():
    rng, outcomes = random.Random(13), set()
    for _ in range(COUNT):
        body = mutate(rng.choice(SEEDS), rng)
        signature = inputs(**dict(zip("xy", rng.choices(ALL_DTYPES, k=2), strict=True)))
        if rng.random() < 0.6:
            signature.pop("y")
        predict = functools.partial(read_predict, body, signature)
        outcomes |= {outcome_of(predict), outcome_of(functools.partial(reading.read_examples, body))}
    assert outcomes == {"read", Code.INVALID_ARGUMENT}


def read_predict(body, signature):
    reading.read_predict(body).read_tensors(signature)


def test_the_seeds_are_read():
    assert reading.read_predict(SEEDS[0]).read_tensors(inputs(x=wire.DT_FLOAT)).arrays["x"].tolist() == [1, 2, 5]

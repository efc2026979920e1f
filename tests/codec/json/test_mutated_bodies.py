"""Whatever a body holds, it is read or refused with a ServingError, and alike with pysimdjson and without it.

`SERVABLE_MUTATIONS=100000` tries more of them.
"""

import os
import random

from servable import wire
from servable.codec.json import reading
from servable.codec.json.layout import Layout
from servable.errors import Code, ServingError
from tests.codec.json.requests import ALL_DTYPES, inputs, outcome_of, outcome_without_pysimdjson

COUNT = int(os.environ.get("SERVABLE_MUTATIONS", "5000"))
SEEDS = [
    b'{"instances": [1.0, 2.0, 5.0]}',
    b'{"signature_name": "serving_default", "inputs": {"x": [[1, 2], [3, 4]], "y": ["a", {"b64": "YQ=="}]}}',
    b'{"instances": [{"x": [1.5], "y": true}, {"x": [-1e3], "y": false}]}',
    b'{"examples": [{"x": [1, 2], "s": "\\u00e9\\ud83d\\ude00"}], "context": {"c": NaN}}',
    b'{"instances": [' + b",".join([b"[0.25, 1, -3e-2]"] * 60) + b"]}",
    b'{"inputs": [[Infinity, -Inf, null], [], {}]} \xff',
    b'{"inputs": {"x": [' + b", ".join([b"12.5"] * 150) + b'], "y": [["a"], [' + b"7," * 300 + b"7]]}}",
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
LONG = b"[" + b"0.5," * 150 + b"1]"
PIECES += [LONG, b'"x":' + LONG, LONG + b":", b'"' + LONG + b'"', LONG.replace(b",", b" "), b'"instances":' + LONG]
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


def test_mutated_bodies_are_read_or_refused():
    rng, outcomes = random.Random(13), set()
    for _ in range(COUNT):
        body = mutate(rng.choice(SEEDS), rng)
        signature = inputs(**dict(zip("xy", rng.choices(ALL_DTYPES, k=2), strict=True)))
        if rng.random() < 0.6:
            signature.pop("y")
        outcome = outcome_of(body, signature)
        assert outcome == outcome_without_pysimdjson(body, signature), body
        outcomes |= {outcome[0], outcome_of_examples(body)}
    assert outcomes == {Layout.ROW, Layout.COLUMN, "read_predict", "read_tensors", "read", Code.INVALID_ARGUMENT}


def outcome_of_examples(body):
    try:
        reading.read_examples(body)
    except ServingError as error:
        return error.code
    return "read"


def test_the_seeds_are_read():
    assert reading.read_predict(SEEDS[0]).read_tensors(inputs(x=wire.DT_FLOAT)).arrays["x"].tolist() == [1, 2, 5]

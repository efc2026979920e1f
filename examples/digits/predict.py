"""Draw one handwritten digit, ask a server which digit it is, and print the answer. Needs no TensorFlow."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import grpc

from servable import wire

METHOD = "/tensorflow.serving.PredictionService/Predict"
INK = " ...:::oooOOO@@@@"  # one character for each pixel value, 0 to 16
TIMEOUT_S = 10.0

Image = list[list[int]]


def draw(image: Image) -> str:
    """Return the rows of `image` as lines, two characters a pixel, since characters are taller than wide."""
    return "\n".join("".join(2 * INK[pixel] for pixel in row) for row in image)


def write_request(model: str, image: Image) -> wire.PredictRequest:
    """Return the request for one `image`: a batch of one, float32 [1, 8, 8]."""
    request = wire.PredictRequest()
    request.model_spec.name = model
    tensor = request.inputs["image"]
    tensor.dtype = wire.DT_FLOAT
    for size in (1, 8, 8):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend(pixel for row in image for pixel in row)
    return request


def read_answer(response: wire.PredictResponse) -> str:
    """Return the digit and its probability as a sentence."""
    digit = response.outputs["digit"].int64_val[0]
    probability = response.outputs["probabilities"].float_val[digit]
    return f"This is a {digit} ({100 * probability:.1f} %)."


def main(arguments: list[str] | None = None) -> None:
    """Send the chosen digit and print the answer, or exit with what the server said."""
    parser = argparse.ArgumentParser(description="Ask a server which digit this is.")
    parser.add_argument("--address", default="127.0.0.1:8500", help="host:port of the server (%(default)s)")
    parser.add_argument("--model", default="digits", help="name of the model on the server (%(default)s)")
    parser.add_argument("--digit", type=int, default=3, choices=range(10), help="digit to send (%(default)s)")
    chosen = parser.parse_args(arguments)
    image = json.loads((Path(__file__).parent / "digits.json").read_text())[chosen.digit]["image"]
    print(draw(image))
    with grpc.insecure_channel(chosen.address) as channel:
        predict = channel.unary_unary(
            METHOD,
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )
        try:
            print(read_answer(predict(write_request(chosen.model, image), timeout=TIMEOUT_S)))
        except grpc.RpcError as error:
            sys.exit(f"No answer from {chosen.address}: {error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()

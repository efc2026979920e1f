"""What KServe's clients get from a server: run with the addresses of gRPC and HTTP, prints a JSON object.

A program of its own, since kserve pins what the server's environment has in other releases.
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

MODEL = "half_plus_two"


def make_request(binary, **fields):
    tensor = InferInput("x", [3], "FP32")
    tensor.set_data_from_numpy(np.array([1, 2, 3], np.float32), binary_data=binary)
    return InferRequest(model_name=MODEL, infer_inputs=[tensor], request_id="some id", **fields)


def read(reply):
    (output,) = reply.outputs
    return [reply.model_name, reply.id, output.name, output.datatype, list(output.shape), output.as_numpy().tolist()]


async def ask_grpc(address):
    async with InferenceGRPCClient(address) as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model": await client.is_model_ready(MODEL),
            "no model": await client.is_model_ready("unknown"),
            "raw": read(await client.infer(make_request(binary=True))),
            "typed": read(await client.infer(make_request(binary=False))),
        }


async def ask_http(address):
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as client:
        url = f"http://{address}"
        binary_output = RequestedOutput("y", parameters={"binary_data": True})
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model": await client.is_model_ready(url, MODEL),
            "no model": await client.is_model_ready(url, "unknown"),
            "raw": read(await client.infer(url, make_request(True, request_outputs=[binary_output]), MODEL)),
            "typed": read(await client.infer(url, make_request(binary=False), MODEL)),
        }


async def main():
    grpc_address, http_address = sys.argv[1:]
    sys.stdout.write(json.dumps({"grpc": await ask_grpc(grpc_address), "http": await ask_http(http_address)}))


asyncio.run(main())

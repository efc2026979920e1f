"""The Open Inference Protocol, version 2, over gRPC and HTTP: what KServe's and Triton's clients speak.

Requests are answered by the same versions, signatures and batches as Predict's. Source of the behaviour: the protocol
(https://github.com/kserve/open-inference-protocol), and Triton's extension for binary tensors over HTTP.
"""

"""The Open Inference Protocol, version 2, over gRPC and HTTP: what KServe and Triton clients speak."""

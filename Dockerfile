# The server with its pinned packages and nothing else. Any image with Python 3.10 to 3.13, its venv module and
# a shell will do as the base.
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS builder
WORKDIR /src
# pip and the build backend stay in an environment of their own, which the final image does not get.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/servable
COPY requirements/build.txt requirements/serve.txt requirements/
RUN /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
RUN /opt/build/bin/pip --python /opt/servable/bin/python3 install --no-cache-dir --compile \
    --require-hashes -r requirements/serve.txt \
    # C++ headers, a fifth of the image: they are for compiling ops, and nothing in it compiles.
    && rm -r /opt/servable/lib/python3*/site-packages/tensorflow/include
COPY pyproject.toml README.md LICENSE ./
COPY server/ server/
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/build/bin/pip --python /opt/servable/bin/python3 install --no-cache-dir --compile --no-deps /tmp/wheel/*.whl

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="servable" \
    org.opencontainers.image.description="Serves TensorFlow SavedModels over gRPC and REST, compatible with tensorflow_model_server." \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /opt/servable /opt/servable
COPY docker/tf_serving_entrypoint.sh docker/tensorflow_model_server /usr/bin/
ENV PATH=/opt/servable/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    MODEL_NAME=model \
    MODEL_BASE_PATH=/models
RUN mkdir -p /models && chmod 755 /usr/bin/tf_serving_entrypoint.sh /usr/bin/tensorflow_model_server
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8500 8501
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["servable", "health", "127.0.0.1:8500"]
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]

#!/bin/sh
# The image's entrypoint, as in TensorFlow Serving's image: a model from the environment, then the caller's flags,
# which override flags of the same name.
exec tensorflow_model_server --port=8500 --rest_api_port=8501 \
    "--model_name=${MODEL_NAME}" "--model_base_path=${MODEL_BASE_PATH}/${MODEL_NAME}" "$@"

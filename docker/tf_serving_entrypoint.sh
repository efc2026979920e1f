#!/bin/sh
# What the image runs, as TensorFlow Serving's image does: a model from the environment, then the caller's flags,
# which win where both name the same one.
exec tensorflow_model_server --port=8500 --rest_api_port=8501 \
    "--model_name=${MODEL_NAME}" "--model_base_path=${MODEL_BASE_PATH}/${MODEL_NAME}" "$@"

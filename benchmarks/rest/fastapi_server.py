"""The REST server that most people write: FastAPI and uvicorn around TensorFlow's eager signature. Nothing is tuned.

python fastapi_server.py PORT VERSION_DIRECTORY MODEL_NAME
"""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = tf.saved_model.load(sys.argv[2])
signature = model.signatures["serving_default"]
(input_name,) = signature.structured_input_signature[1]


class PredictRequest(BaseModel):
    """A request in rows."""

    instances: list[Any]


@app.post(f"/v1/models/{sys.argv[3]}:predict")
def predict(request: PredictRequest) -> dict[str, Any]:
    """Rows in, rows out."""
    outputs = signature(**{input_name: tf.constant(request.instances, tf.float32)})
    (predictions,) = outputs.values()
    return {"predictions": predictions.numpy().tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

"""The model that most tests call, as a fake."""

import numpy as np


def fill(running, version=1):
    """Give a fake server the model that most tests call."""
    model = running.model("half", version=version)
    model.predict(
        lambda x: {"y": x * np.float32(0.5) + np.float32(2)},
        inputs={"x": ("float32", (None,))},
        outputs={"y": ("float32", (None,))},
    )
    model.predict(lambda a, b: {"sum": a + b, "double": a * 2}, signature="two", inputs={"a": "int32", "b": "int32"})
    model.predict(lambda t: {"t": t}, signature="text", inputs={"t": "string"})
    model.classify(lambda examples: [[("no", 0.25), ("yes", 0.75)] for _ in examples], signature="classes")
    model.regress(lambda examples: [float(each["x"][0]) for each in examples], signature="values")
    return model

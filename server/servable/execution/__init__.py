"""A SavedModel on disk to something that runs. The only room that imports TensorFlow.

It must not know requests, model specs or gRPC: tensor names and arrays are all that passes its door.
"""

import os

# TensorFlow's C++ greets on stderr at import; its errors still show. Whoever wants more sets it before.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

"""What is in a SavedModel and what it means, for `servable inspect`: found out without TensorFlow's import.

`inspect` reads and judges, `to_text` and `to_json` write. Which RPC can use a signature is decided by the code that
answers the RPC, so that a report and a server cannot disagree. It must not know TensorFlow or gRPC.
"""

from servable.inspection.as_text import summarize, to_text
from servable.inspection.report import Report, to_json
from servable.inspection.survey import inspect

__all__ = ["Report", "inspect", "summarize", "to_json", "to_text"]

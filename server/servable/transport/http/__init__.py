"""HTTP/1.1: uvicorn on a thread of its own, with the limits that it needs. Knows no model."""

"""TensorFlow Serving's REST API: URLs, and one module an API. How JSON is read and written is `codec.json`'s concern.

Source of the behaviour: TensorFlow Serving, model_servers/http_rest_api_*.cc and util/json_tensor.cc.
"""

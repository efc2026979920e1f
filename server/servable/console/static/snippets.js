// The request of the form as other programs send it.

const LONG = 400;

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const shorten = (text) => (text.length > LONG ? `${text.slice(0, LONG)} …` : text);

/** By title: the same request for curl, for grpcurl and for Python. */
export function write({ url, model, version, signature, inputs, body }) {
  const packed = JSON.stringify(body);
  return {
    curl: `curl ${quote(url)} \\\n  -d ${quote(shorten(packed))}`,
    grpcurl: writeGrpcurl({ model, version, signature, inputs, body }),
    Python: writePython({ model, version, signature, body }),
  };
}

const TYPED = {
  float: ["DT_FLOAT", "float_val"],
  double: ["DT_DOUBLE", "double_val"],
  int32: ["DT_INT32", "int_val"],
  int16: ["DT_INT16", "int_val"],
  int8: ["DT_INT8", "int_val"],
  uint8: ["DT_UINT8", "int_val"],
  int64: ["DT_INT64", "int64_val"],
  uint32: ["DT_UINT32", "uint32_val"],
  uint64: ["DT_UINT64", "uint64_val"],
  bool: ["DT_BOOL", "bool_val"],
  string: ["DT_STRING", "string_val"],
};

function shapeOf(value) {
  const shape = [];
  for (let level = value; Array.isArray(level); [level] = level) shape.push(level.length);
  return shape;
}

const toBase64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

function writeGrpcurl({ model, version, signature, inputs, body }) {
  const tensors = {};
  for (const { alias, dtype } of inputs) {
    const value = body.inputs?.[alias];
    const [name, field] = TYPED[dtype] ?? [];
    if (value === undefined || !name) return `# ${dtype} cannot be written here; see docs/transcoding.md`;
    const flat = [value].flat(Infinity).map((one) => (dtype === "string" ? (one.b64 ?? toBase64(String(one))) : one));
    tensors[alias] = { dtype: name, tensor_shape: { dim: shapeOf(value).map((size) => ({ size })) }, [field]: flat };
  }
  const request = { model_spec: { name: model, version, signature_name: signature }, inputs: tensors };
  return (
    `grpcurl -plaintext -d ${quote(shorten(JSON.stringify(request)))} \\\n` +
    `  ${location.hostname}:8500 tensorflow.serving.PredictionService/Predict`
  );
}

function writePython({ model, version, signature, body }) {
  const inputs = JSON.stringify(body.inputs ?? body.instances);
  return [
    "from servable_client import Client",
    "",
    `with Client("${location.hostname}:8500", model=${JSON.stringify(model)}) as client:`,
    `    reply = client.predict(${shorten(toPython(inputs))}, version=${version}, signature=${JSON.stringify(signature)})`,
  ].join("\n");
}

function toPython(json) {
  return json.replace(/"(?:[^"\\]|\\.)*"|true|false|null/g, (token) => ({ true: "True", false: "False", null: "None" })[token] ?? token);
}

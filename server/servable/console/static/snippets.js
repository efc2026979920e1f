// The request of the form as commands and code that send the same. Names may be anything, so each is quoted.

import { flatten, parseWritten, shapeOf, Written } from "./values.js";

// A longer one goes to a file.
const MOST_CHARACTERS = 6000;
const FILE = "request.json";
const PROTOS = {
  float: ["DT_FLOAT", "float_val"],
  double: ["DT_DOUBLE", "double_val"],
  int8: ["DT_INT8", "int_val"],
  int16: ["DT_INT16", "int_val"],
  int32: ["DT_INT32", "int_val"],
  int64: ["DT_INT64", "int64_val"],
  uint8: ["DT_UINT8", "int_val"],
  uint32: ["DT_UINT32", "uint32_val"],
  uint64: ["DT_UINT64", "uint64_val"],
  bool: ["DT_BOOL", "bool_val"],
  string: ["DT_STRING", "string_val"],
};
const SERVICE = "tensorflow.serving.PredictionService";

/**
 * The snippets by their titles; `file` is what one of them reads, if it does.
 *
 * `request` has: model, version and signature; api; url and body of the REST API; inputs, a list of a tensor and its
 * value each (of Predict) or examples as JSON; and grpcPort.
 */
export function makeSnippets(request) {
  const made = { curl: curl(request), grpcurl: grpcurl(request), Python: python(request) };
  const isLong = Object.values(made).some(({ file }) => file);
  return { made, isLong };
}

function curl({ url, body }) {
  const data = body.length > MOST_CHARACTERS ? `@${FILE}` : quote(body);
  return { text: `curl ${quote(new URL(url, document.baseURI).href)} -d ${data}`, file: fileIfLong(body) };
}

function grpcurl(request) {
  if (!request.grpcPort) return { text: "# This server has no TCP port for gRPC." };
  const spec = { name: request.model, version: request.version };
  if (request.signature !== "serving_default") spec.signature_name = request.signature;
  const method = { predict: "Predict", classify: "Classify", regress: "Regress" }[request.api];
  const message =
    request.api === "predict"
      ? { model_spec: spec, inputs: Object.fromEntries(request.inputs.map(({ tensor, value }) => [tensor.name, tensorProto(tensor, value)])) }
      : { model_spec: spec, input: { example_list: { examples: parseWritten(request.examples).map(exampleProto) } } };
  const text = JSON.stringify(message, (_key, value) => (value instanceof Written ? Number(value.text) : value));
  const plain = location.protocol === "https:" ? "" : "-plaintext ";
  const end = `${quote(grpcAddress(request))} ${SERVICE}/${method}`;
  const file = fileIfLong(text, "message.json");
  return { text: file ? `grpcurl ${plain}-d @ ${end} < message.json` : `grpcurl ${plain}-d ${quote(text)} ${end}`, file };
}

function tensorProto({ dtype }, value) {
  const [number, field] = PROTOS[dtype];
  const values = flatten(value).map((each) => (dtype === "string" ? bytesOf(each) : each));
  return { dtype: number, tensor_shape: { dim: shapeOf(value).map((size) => ({ size: String(size) })) }, [field]: values };
}

function exampleProto(features) {
  return { features: { feature: Object.fromEntries(Object.entries(features).map(([name, value]) => [name, featureProto([value].flat())])) } };
}

function featureProto(values) {
  if (!(values[0] instanceof Written)) return { bytes_list: { value: values.map(bytesOf) } };
  const kind = values.some(({ text }) => /[.eEN]/.test(text)) ? "float_list" : "int64_list";
  return { [kind]: { value: values } };
}

/** Bytes in the JSON of protobuf: base64. */
function bytesOf(value) {
  if (typeof value?.b64 === "string") return value.b64;
  return btoa(Array.from(new TextEncoder().encode(String(value)), (byte) => String.fromCharCode(byte)).join(""));
}

function python(request) {
  return request.grpcPort && location.protocol !== "https:" ? pythonClient(request) : pythonPlain(request);
}

function pythonClient(request) {
  const isLong = request.body.length > MOST_CHARACTERS;
  const argument = request.api === "predict" ? "inputs" : "examples";
  const written = parseWritten(request.body)[argument];
  const literal = isLong ? `json.load(open("${FILE}"))["${argument}"]` : pythonLiteral(written);
  const named = request.signature === "serving_default" ? "" : `, signature=${pythonText(request.signature)}`;
  const imports = [...(literal.includes("b64decode(") ? ["from base64 import b64decode"] : []), ...(isLong ? ["import json"] : [])];
  const lines = [
    ...imports,
    ...(imports.length ? [""] : []),
    "from servable_client import Client",
    "",
    `with Client(${pythonText(grpcAddress(request))}, model=${pythonText(request.model)}) as client:`,
    `    ${argument} = ${literal}`,
    `    reply = client.${request.api}(${argument}, version=${request.version}${named})`,
    request.api === "predict" ? "    print(dict(reply))" : "    print(reply)",
  ];
  return { text: lines.join("\n"), file: fileIfLong(request.body) };
}

function pythonPlain({ url, body }) {
  const isLong = body.length > MOST_CHARACTERS;
  const data = isLong ? `open("${FILE}", "rb").read()` : `${pythonText(body)}.encode()`;
  const lines = ["import urllib.request", "", `url = ${pythonText(new URL(url, document.baseURI).href)}`, `print(urllib.request.urlopen(url, ${data}).read().decode())`];
  return { text: lines.join("\n"), file: fileIfLong(body) };
}

function pythonLiteral(value) {
  if (value instanceof Written) return /[IN]/.test(value.text) ? `float("${value.text}")` : value.text;
  if (typeof value === "string") return pythonText(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (value === null) return "None";
  if (typeof value.b64 === "string" && Object.keys(value).length === 1) return `b64decode(${pythonText(value.b64)})`;
  return `{${Object.entries(value).map(([key, each]) => `${pythonText(key)}: ${pythonLiteral(each)}`).join(", ")}}`;
}

/** A string of JSON is one of Python, but for what lies beyond 16 bits, which stands as it is. */
const pythonText = (text) => JSON.stringify(text);

/** One word for a shell. */
const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const grpcAddress = ({ grpcPort }) => `${location.hostname}:${grpcPort}`;

const fileIfLong = (content, name = FILE) => (content.length > MOST_CHARACTERS ? { name, content } : null);

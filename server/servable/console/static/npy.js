// Reads .npy files, as NumPy's format says (numpy.lib.format): a magic, a header in the syntax of Python, values.

const READERS = {
  f2: [2, readHalf],
  f4: [4, (view, at, little) => shorten(view.getFloat32(at, little))],
  f8: [8, (view, at, little) => view.getFloat64(at, little)],
  i1: [1, (view, at) => view.getInt8(at)],
  u1: [1, (view, at) => view.getUint8(at)],
  b1: [1, (view, at) => view.getUint8(at) !== 0],
  i2: [2, (view, at, little) => view.getInt16(at, little)],
  u2: [2, (view, at, little) => view.getUint16(at, little)],
  i4: [4, (view, at, little) => view.getInt32(at, little)],
  u4: [4, (view, at, little) => view.getUint32(at, little)],
  i8: [8, (view, at, little) => exactly(view.getBigInt64(at, little))],
  u8: [8, (view, at, little) => exactly(view.getBigUint64(at, little))],
};

/** The shape, and the value at each index in C order. */
export function readNpy(buffer) {
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  if (buffer.byteLength < 12 || bytes[0] !== 0x93 || ascii(bytes.subarray(1, 6)) !== "NUMPY") throw new Error("This is no .npy file");
  const begin = bytes[6] === 1 ? 10 : 12;
  const end = begin + (bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = ascii(bytes.subarray(begin, end));
  const type = /'descr':\s*'([<>|=])([a-z]\d+)'/.exec(header);
  const sizes = /'shape':\s*\(([\d,\s]*)\)/.exec(header);
  const [width, read] = (type && READERS[type[2]]) ?? [];
  if (!read || !sizes) throw new Error("This .npy file holds no plain numbers");
  const shape = sizes[1].split(",").filter((size) => size.trim()).map(Number);
  const count = shape.reduce((product, size) => product * size, 1);
  if (end + count * width > buffer.byteLength) throw new Error("This .npy file ends too early");
  const order = /'fortran_order':\s*True/.test(header) ? fromFortran(shape) : (index) => index;
  return { shape, valueAt: (index) => read(view, end + order(index) * width, type[1] !== ">") };
}

/** Where the value at an index in C order lies in a file that is in Fortran's. */
function fromFortran(shape) {
  return (index) => {
    let place = 0;
    let rest = index;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      place += (rest % shape[axis]) * shape.slice(0, axis).reduce((product, size) => product * size, 1);
      rest = Math.floor(rest / shape[axis]);
    }
    return place;
  };
}

function readHalf(view, at, little) {
  const bits = view.getUint16(at, little);
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return shorten(sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024)));
}

/** The shortest number that is the same float32. */
function shorten(value) {
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === value ? short : value;
}

function exactly(value) {
  if (!Number.isSafeInteger(Number(value))) throw new Error(`${value} is more than this page can count to`);
  return Number(value);
}

const ascii = (bytes) => String.fromCharCode(...bytes);

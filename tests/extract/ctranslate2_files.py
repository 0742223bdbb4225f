"""Files as CTranslate2 writes them, and small ones of Whisper's encoder."""

import struct

import numpy as np

TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def string(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name, array, shape=None, size=None, number=None):
    """One variable; what it says of itself can be another thing than what it is."""
    array = np.asarray(array)
    shape = array.shape if shape is None else shape
    number = TYPES[array.dtype.name] if number is None else number
    return (
        string(name)
        + struct.pack(f"<B{len(shape)}I", len(shape), *shape)
        + struct.pack("<BI", number, array.nbytes if size is None else size)
        + array.tobytes()
    )


def file_of(variables, aliases=(), version=6, network="WhisperSpec", count=None, others=None):
    """The bytes of a file: `variables` as :func:`variable` gives them, `aliases` as pairs."""
    head = struct.pack("<I", version) + string(network) + struct.pack("<I", 3)
    return b"".join(
        [
            head,
            struct.pack("<I", len(variables) if count is None else count),
            *variables,
            struct.pack("<I", len(aliases) if others is None else others),
            *(string(name) + string(meant) for name, meant in aliases),
        ]
    )


def whisper_arrays(sizes, seed=0):
    """Random weights of an encoder, by the names that CTranslate2 gives them."""
    draw, width = np.random.default_rng(seed), sizes.width
    shapes = {
        "conv1/weight": (width, sizes.bands, 3),
        "conv1/bias": (width,),
        "conv2/weight": (width, width, 3),
        "conv2/bias": (width,),
        "position_encodings/encodings": (sizes.positions, width),
    }
    norms = ["layer_norm"]
    for layer in (f"layer_{i}" for i in range(sizes.layers)):
        norms += [f"{layer}/self_attention/layer_norm", f"{layer}/ffn/layer_norm"]
        for name, out, into in (
            ("self_attention/linear_0", 3 * width, width),
            ("self_attention/linear_1", width, width),
            ("ffn/linear_0", 4 * width, width),
            ("ffn/linear_1", width, 4 * width),
        ):
            shapes |= {f"{layer}/{name}/weight": (out, into), f"{layer}/{name}/bias": (out,)}
    for norm in norms:
        shapes |= {f"{norm}/gamma": (width,), f"{norm}/beta": (width,)}
    drawn = {name: draw.normal(0, 0.4, shape) for name, shape in shapes.items()}
    for i in range(sizes.layers):
        drawn[f"layer_{i}/self_attention/linear_0/bias"][width : 2 * width] = 0
    arrays = {f"encoder/{name}": x.astype(np.float16) for name, x in drawn.items()}
    arrays["encoder/num_heads"] = np.int16(sizes.heads)
    arrays["decoder/embeddings/weight"] = np.zeros((sizes.words, width), np.float16)
    return arrays


def whisper_file(path, arrays):
    """A file of these weights."""
    path.write_bytes(file_of([variable(name, x) for name, x in sorted(arrays.items())]))
    return path

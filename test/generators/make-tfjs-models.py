"""Writes the small TF.js models of test/data/tfjs with the TF.js converter, and the outputs that TensorFlow computed for them.

    python test/generators/make-tfjs-models.py    # needs tensorflow-cpu, tf_keras, tensorflow_hub, tensorflowjs (pip install --no-deps is enough)
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import types
import zipfile

os.environ["TF_USE_LEGACY_KERAS"] = "1"
# The converter imports these for features that are not used here.
for optional in ("tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf", "flax", "flax.core"):
    sys.modules.setdefault(optional, types.ModuleType(optional))
import numpy as np
import tensorflow as tf
import tf_keras
import tensorflowjs as tfjs
from tensorflowjs.converters import tf_saved_model_conversion_v2 as saved_model
from tf_keras import layers as L

TARGET = pathlib.Path(__file__).resolve().parent.parent / "data" / "tfjs"
rng = np.random.default_rng(11)


def cnn():
    i = tf_keras.Input((12, 10, 3), name="image")
    x = L.Conv2D(6, 3, strides=2, padding="same", activation="relu")(i)
    x = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(x))
    y = L.ReLU(max_value=6.0)(x)
    y = L.Concatenate()([y, L.MaxPooling2D(3, strides=1, padding="same")(y)])
    y = L.UpSampling2D(2, interpolation="bilinear")(y)
    y = L.Conv2DTranspose(4, 3, strides=2, padding="same")(y)
    y = L.ZeroPadding2D(1)(y)
    y = L.GlobalAveragePooling2D()(y)
    return tf_keras.Model(i, L.Dense(5, activation="softmax", name="classes")(y))


def folding():
    """Normalizations that go into the layers before them, most of which have no bias; one stays, behind an activation."""
    i = tf_keras.Input((8, 7, 3), name="image")
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, use_bias=False, name="first")(i)))
    x = L.BatchNormalization(scale=False)(L.Conv2D(9, 3, padding="same", use_bias=False)(x))
    x = L.BatchNormalization(center=False)(L.Conv2DTranspose(8, 3, strides=2, use_bias=False)(x))
    x = L.BatchNormalization()(L.DepthwiseConv2D(3, depth_multiplier=2)(L.ReLU()(x)))
    inner = tf_keras.Sequential([tf_keras.Input((16,)), L.Dense(12, use_bias=False), L.BatchNormalization(), L.ReLU(), L.BatchNormalization()], name="inner")
    return tf_keras.Model(i, L.Dense(4, activation="softmax", name="classes")(inner(L.GlobalAveragePooling2D()(x))))


class Numeric(tf.Module):
    """Shapes at run time, slices of every kind, gathers, reductions: what layers alone do not make."""

    @tf.function(input_signature=[tf.TensorSpec([None, 6, 8], tf.float32, name="x")])
    def __call__(self, x):
        n = tf.shape(x)[0]
        a = x[:, 1:-1:2, ::-1] * 2.0
        b = tf.reshape(x, tf.stack([n, 48]))[..., 4:20]
        c = tf.concat([tf.reduce_mean(a, axis=-1), tf.reduce_max(a, axis=[2])], axis=1)
        d = tf.matmul(x, x, transpose_b=True)
        e = tf.nn.softmax(tf.transpose(d, [0, 2, 1]))[:, tf.newaxis, 0, :]
        f = tf.where(b > 0.0, tf.sqrt(tf.abs(b)), tf.math.divide_no_nan(b, b - b))
        g = tf.gather(x, [3, 0], axis=1)
        p = tf.pad(g, [[0, 0], [1, 1], [0, 2]], mode="REFLECT")
        s, t = tf.split(p, 2, axis=2)
        return {"c": c, "e": e, "f": f, "u": tf.maximum(s, t) // 0.5, "m": tf.cast(tf.argmax(x, axis=2), tf.float32)}


def arrays(many):
    return [{"shape": list(a.shape), "data": [float(f"{v:.8g}") for v in np.asarray(a).ravel().tolist()]} for a in many]


def store(folder, name, inputs, outputs):
    with zipfile.ZipFile(TARGET / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(pathlib.Path(folder).iterdir()):
            archive.write(path, path.name)
    (TARGET / f"{name}.json").write_text(json.dumps({"inputs": arrays(inputs), "outputs": {key: arrays([value])[0] for key, value in outputs.items()}}))


def dequantized(model, dtype):
    """The model as the quantized shards hold it: reference outputs must come from the same weights."""
    copy = tf_keras.models.clone_model(model)
    copy.set_weights([quantize(w, dtype) for w in model.get_weights()])
    return copy


def quantize(w, dtype):
    if dtype == "float16":
        return w.astype("float16").astype("float32")
    from tensorflowjs import quantization
    q, meta = quantization.quantize_weights(w, np.dtype(dtype))
    return quantization.dequantize_weights(q, meta) if meta else w


def randomize(model):
    for weight in model.weights:
        values = rng.standard_normal(weight.shape) * 0.4
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)


model = cnn()
randomize(model)
x = rng.standard_normal((2, 12, 10, 3)).astype("float32")
for dtype in (None, "float16", "uint8", "uint16"):
    with tempfile.TemporaryDirectory() as folder:
        tfjs.converters.save_keras_model(model, folder, quantization_dtype_map={dtype: "*"} if dtype else None)
        reference = dequantized(model, dtype) if dtype else model
        store(folder, f"layers-{dtype or 'float32'}", [x], {"classes": reference.predict(x, verbose=0)})

for name, make, value in (("graph-cnn", None, x), ("graph-numeric", Numeric, rng.standard_normal((2, 6, 8)).astype("float32"))):
    with tempfile.TemporaryDirectory() as saved, tempfile.TemporaryDirectory() as folder:
        module = make() if make else model
        if make:
            tf.saved_model.save(module, saved, signatures=module.__call__)
            outputs = module(tf.constant(value))
        else:
            model.save(saved, save_format="tf")
            outputs = {"classes": model(value)}
        saved_model.convert_tf_saved_model(saved, folder)
        store(folder, name, [value], {key: np.asarray(out) for key, out in outputs.items()})

with tempfile.TemporaryDirectory() as folder:
    model, value = folding(), rng.standard_normal((2, 8, 7, 3)).astype("float32")
    randomize(model)
    tfjs.converters.save_keras_model(model, folder)
    store(folder, "layers-folding", [value], {"classes": model.predict(value, verbose=0)})

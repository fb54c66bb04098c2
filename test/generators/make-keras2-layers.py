"""Models that Keras 2 wrote as HDF5, with inputs and the outputs that it computed: test/data/keras/layers/keras2-*.

    python test/generators/make-keras2-layers.py     # needs tensorflow and tf_keras
"""
import gzip
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import tf_keras as keras

L = keras.layers
TARGET = pathlib.Path(__file__).resolve().parent.parent / "data" / "keras" / "layers"
rng = np.random.default_rng(1)


def entry(a):
    return {"shape": list(a.shape), "step": 1, "data": [float(f"{v:.7g}") for v in a.astype("float64").ravel().tolist()]}


def write(name, inputs, outputs, samples):
    model = keras.Model(inputs, outputs)
    for weight in model.weights:
        values = np.round(rng.standard_normal(weight.shape) * 8) / 16
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)
    results = model.predict(samples if len(samples) > 1 else samples[0], verbose=0)
    path = TARGET / f"{name}.h5"
    model.save(path)
    pathlib.Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    path.unlink()
    text = json.dumps({"inputs": [entry(a) for a in samples], "outputs": [entry(a) for a in results]})
    (TARGET / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def floats(*shape):
    return np.round(rng.standard_normal((2, *shape)), 2).astype("float32")


a, b, start = keras.Input((4, 3)), keras.Input((4, 3)), keras.Input((4, 3))
inner = keras.Model(start, [L.Dense(3)(start), L.BatchNormalization()(start)], name="inner")
(p, q), (r, s) = inner(a), inner(b)
x = (p + r) * 2.0 - q / (s + 9.0)
y = tf.nn.relu(x)[:, 1:]
z = tf.reduce_mean(tf.concat([y, y * y], axis=-1), axis=1)
write("keras2-functions", [a, b], [x, y, z, 1.0 - z, tf.reshape(y, (-1, 9)), L.Dense(2)(tf.transpose(y, (0, 2, 1)))], [floats(4, 3), floats(4, 3)])

t = keras.Input((6,), dtype="int32")
e = L.Embedding(5, 4, mask_zero=True)(t)
write("keras2-masks", t, [
    L.LSTM(3)(e), L.Bidirectional(L.GRU(3, return_sequences=True))(e), L.GlobalAveragePooling1D()(e), L.GRU(2, reset_after=False, recurrent_activation="hard_sigmoid")(L.Add()([e, e])),
    L.GRU(2)(L.Multiply()([e, e])), L.Attention()([e, e]), L.RNN([L.LSTMCell(3), L.GRUCell(2)])(e), L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(e, e)),
], [rng.integers(0, 5, (2, 6)).astype("int32")])

# Normalizations that go into the layers before them: of new and of old biases, in models within models, one of which is called twice.
i, j = keras.Input((6, 4)), keras.Input((5,))
c = L.ReLU()(L.BatchNormalization()(L.Conv1D(6, 3, use_bias=False)(i)))
d = L.Conv1D(6, 3)(i)
c = L.BatchNormalization(scale=False)(L.SeparableConv1D(5, 2, use_bias=False)(L.Add()([L.ReLU()(d), c])))
tower = keras.Sequential([keras.Input((5,)), L.Dense(6, use_bias=False), L.BatchNormalization(), L.ReLU(), L.BatchNormalization(), L.Dense(4)], name="tower")
first = L.BatchNormalization(center=False)(L.Dense(4)(j))
inner = keras.Model(j, L.Add()([first, tower(j)]), name="inner")
e = L.GlobalAveragePooling1D()(c)
write("keras2-folding", i, [inner(e), L.Dense(3)(inner(L.BatchNormalization()(e)))], [floats(6, 4)])

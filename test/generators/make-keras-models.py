"""Writes the small Keras models of test/data/keras with inputs and the outputs that Keras itself computed for them.

    python test/generators/make-keras-models.py [name ...]   # all, or those named; needs keras >= 3 with the tensorflow backend
"""
import json
import os
import pathlib
import sys
import zlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from keras import layers as L

TARGET = pathlib.Path(__file__).resolve().parent.parent / "data" / "keras"

def cnn():
    """Convolutions of every kind, BatchNorm, joins, pooling: images."""
    i = keras.Input((12, 10, 3), name="image")
    x = L.Conv2D(6, 3, padding="same", activation="relu")(i)
    y = L.BatchNormalization()(x)
    y = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(y)
    y = L.ReLU(max_value=6.0)(y)
    y = L.SeparableConv2D(6, 3, strides=2, padding="same", activation="swish")(y)
    s = L.MaxPooling2D(2)(x)
    y = L.Add()([y, s])
    z = L.Conv2D(4, 3, dilation_rate=2, padding="same", groups=2, use_bias=False)(y)
    z = L.LeakyReLU(0.1)(z)
    u = L.UpSampling2D(2, interpolation="bilinear")(z)
    u = L.Conv2DTranspose(3, 3, strides=2, padding="same")(u)
    u = L.Cropping2D(((1, 2), (0, 1)))(u)
    u = L.ZeroPadding2D((1, 0))(u)
    c = L.Concatenate()([z, L.AveragePooling2D(2, strides=1, padding="same")(z)])
    p = L.PReLU(shared_axes=[1, 2])(c)
    f = L.Flatten()(p)
    o = L.Dense(5, activation="softmax", name="classes")(L.Dropout(0.5)(f))
    g = L.GlobalAveragePooling2D()(u)
    return keras.Model(i, [o, g])


def sequential():
    return keras.Sequential([
        keras.Input((20, 4)), L.Conv1D(6, 5, padding="causal", activation="elu"), L.MaxPooling1D(2), L.Conv1D(5, 3, strides=2, activation="hard_sigmoid"),
        L.LayerNormalization(), L.GlobalMaxPooling1D(), L.Dense(3, activation="tanh"),
    ])


def recurrent():
    """Embedding, every recurrent cell, Bidirectional, TimeDistributed."""
    i = keras.Input((9,), dtype="int32", name="tokens")
    e = L.Embedding(30, 7)(i)
    b = L.Bidirectional(L.LSTM(5, return_sequences=True))(e)
    g = L.GRU(6, return_sequences=True)(b)
    t = L.TimeDistributed(L.Dense(4, activation="relu"))(g)
    s = L.SimpleRNN(3, go_backwards=True)(t)
    m = L.Bidirectional(L.GRU(4, reset_after=False), merge_mode="sum")(g)
    l = L.LSTM(3, recurrent_activation="hard_sigmoid")(g)
    return keras.Model(i, [s, m, l])


def attention():
    i = keras.Input((6, 8))
    a = L.MultiHeadAttention(2, 5)(i, i)
    x = L.LayerNormalization(epsilon=1e-6)(L.Add()([i, a]))
    f = L.Dense(8)(L.Dense(16, activation="gelu")(x))
    x = L.LayerNormalization()(x + f)
    return keras.Model(i, L.Dense(2)(L.GlobalAveragePooling1D()(x)))


def nested():
    """A shared layer, a nested model used twice, several inputs."""
    a, b = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    tower = keras.Sequential([keras.Input((6,)), L.Dense(5, activation="relu"), L.BatchNormalization(), L.Dense(4)], name="tower")
    shared = L.Dense(4, name="shared")
    x, y = shared(tower(a)), shared(tower(b))
    return keras.Model([a, b], [L.Dot(axes=1)([x, y]), L.Subtract()([x, y]), L.Maximum()([x, y])])


def volume():
    i = keras.Input((6, 6, 6, 2))
    x = L.Conv3D(4, 3, strides=2, padding="same")(i)
    x = L.MaxPooling3D(2, padding="same")(L.Activation("selu")(x))
    return keras.Model(i, L.Reshape((-1,))(L.Permute((4, 1, 2, 3))(x)))


def chain():
    """The common image classifier: convolutions, BatchNorm, Flatten, Dense."""
    return keras.Sequential([
        keras.Input((8, 8, 2)), L.Conv2D(6, 3, padding="same"), L.BatchNormalization(scale=False), L.ReLU(), L.MaxPooling2D(2),
        L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(10, activation="relu"), L.BatchNormalization(), L.Dropout(0.2), L.Dense(3),
    ])


def joins():
    """Residual sums, concatenations (Huang et al. 2017), depthwise-separable blocks, groups."""
    i = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", use_bias=False)(i)
    x = L.BatchNormalization()(x)
    y = L.Conv2D(6, 3, padding="same", activation="relu")(x)
    y = L.Conv2D(8, 3, padding="same")(y)
    x = L.Activation("relu")(L.Add()([x, y]))
    for _ in range(2):
        x = L.Concatenate()([x, L.Conv2D(4, 3, padding="same", activation="relu")(L.BatchNormalization()(x))])
    x = L.Conv2D(8, 1)(x)
    x = L.GroupNormalization(groups=2)(x)
    x = L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)(x)
    x = L.SeparableConv2D(6, 3, padding="same", activation="relu")(x)
    x = L.Conv2D(8, 3, groups=2, padding="same")(x)
    x = L.PReLU(shared_axes=[1, 2])(L.Conv2DTranspose(6, 3, strides=2, padding="same")(x))
    gate = L.Dense(6, activation="sigmoid")(L.Dense(4, activation="relu")(L.GlobalAveragePooling2D()(x)))
    x = L.Multiply()([x, L.Reshape((1, 1, 6))(gate)])
    return keras.Model(i, L.Dense(3, activation="softmax")(L.GlobalMaxPooling2D()(x)))


def transformer():
    """Attention over features that a layer makes, with and without a residual sum."""
    i = keras.Input((6, 5))
    x = L.Dense(8)(i)
    x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 6)(x, x)]))
    x = L.LayerNormalization()(L.Add()([x, L.Dense(8)(L.Dense(12, activation="gelu")(x))]))
    y = L.MultiHeadAttention(2, 4, value_dim=6, output_shape=10)(x, L.Conv1D(6, 3, padding="same")(i))
    return keras.Model(i, L.Dense(2)(L.GlobalAveragePooling1D()(y)))


def towers():
    """Models within a model whose inputs layers make; a shared one; a layer over steps; an axis cut into two."""
    i, j = keras.Input((6,)), keras.Input((6,))
    a = keras.Input((8,), name="narrow")
    inner = keras.Model(a, L.Dense(6, activation="relu")(L.BatchNormalization()(L.Dense(10)(a))), name="inner")
    tower = keras.Sequential([keras.Input((8,)), L.Dense(6, activation="tanh"), L.Dense(6)], name="tower")
    first = L.Dense(8, activation="relu", name="first")
    x, y = first(i), first(j)
    x, y = L.Add()([inner(x), tower(x)]), L.Add()([inner(y), tower(y)])
    z = L.RepeatVector(4)(L.Concatenate()([x, y]))
    z = L.TimeDistributed(keras.Sequential([keras.Input((12,)), L.Dense(5), L.ReLU()]))(z)
    z = L.Bidirectional(L.GRU(4, return_sequences=True))(z)
    z = L.Reshape((4, 2, 4))(z)
    return keras.Model([i, j], L.Dense(3)(L.Flatten()(L.Conv2D(4, 1)(z))))


def folding():
    """Normalizations behind every layer that can take them in, and such as stay: behind nothing, an activation, a shared layer, over another axis, an output."""
    norm = L.BatchNormalization
    i = keras.Input((6, 6, 4))
    a = norm(name="stays_first")(i)
    x = L.ReLU()(norm()(L.Conv2D(6, 3, padding="same", groups=2, use_bias=False)(a)))
    x = L.Add()([L.ReLU()(L.Conv2D(6, 3, padding="same")(a)), x])  # without the normalization the layers have another order
    x = norm(scale=False)(L.SeparableConv2D(5, 3, padding="same", use_bias=False)(x))
    x = norm(center=False, epsilon=0.01)(L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x))
    x = norm()(L.Conv2DTranspose(3, 2, strides=2, activation="linear")(x))
    x = norm(name="stays_activated")(L.ReLU()(x))
    s = L.Reshape((8, 24))(x)
    s = norm()(L.Conv1D(6, 3, padding="same", use_bias=False)(s))
    s = norm(axis=1, name="stays_over_steps")(L.Conv1D(6, 3)(s))
    s = norm(axis=2)(L.Conv1DTranspose(4, 3, use_bias=False)(s))
    s = norm()(L.DepthwiseConv1D(3)(s))
    s = L.GlobalAveragePooling1D()(norm()(L.SeparableConv1D(5, 2)(s)))
    v = L.Reshape((4, 4, 4, 3))(x)
    v = norm()(L.Conv3DTranspose(3, 2, use_bias=False)(norm()(L.Conv3D(4, 2, strides=2)(v))))
    v = norm()(L.Dense(5, use_bias=False)(L.GlobalAveragePooling3D()(v)))
    j = keras.Input((5,))
    inner = keras.Model(j, norm()(L.Dense(4, use_bias=False)(L.ReLU()(norm()(L.Dense(6)(j))))), name="inner")
    tower = keras.Sequential([keras.Input((5,)), L.Dense(6, use_bias=False), norm(), L.ReLU(), norm(name="stays_in_tower"), L.Dense(4)], name="tower")
    shared = L.Dense(3, name="shared")
    p, q = shared(inner(s)), shared(tower(v))
    return keras.Model(i, [L.Add()([norm(name="stays_shared")(p), q]), norm(name="stays_output")(L.Dense(2)(p))])


def normalized():
    """A table's features, standardized as adapt() saw them: its count of batches is an integer scalar."""
    rng = np.random.default_rng(2)
    i = keras.Input((3,))
    whole, axes = L.Normalization(name="adapted"), L.Normalization(axis=None, name="adapted_whole")
    whole.adapt((rng.standard_normal((50, 3)) * [4, 1, 9] + [7, -2, 0]).astype("float32"))
    axes.adapt((rng.standard_normal((50, 3)) * 4 + 7).astype("float32"))
    return keras.Model(i, L.Dense(2)(L.Concatenate()([whole(i), axes(i)])))


def randomize(model, rng):
    """Every array random (variances positive), so that no default hides a mistake; what adapt() computed stays."""
    for weight in model.weights:
        if weight.path.startswith("adapted"):
            continue
        values = rng.standard_normal(weight.shape) * 0.4
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)


def write(build, rng):
    keras.utils.set_random_seed(1)
    model = build()
    randomize(model, rng)
    inputs = [rng.integers(0, 30, (2, *t.shape[1:])).astype("int32") if t.dtype == "int32" else rng.standard_normal((2, *t.shape[1:])).astype("float32") for t in model.inputs]
    outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    model.save(TARGET / f"{build.__name__}.keras")
    model.save(TARGET / f"{build.__name__}.h5")
    arrays = lambda many: [{"shape": list(a.shape), "data": [float(f"{v:.8g}") for v in a.ravel().tolist()]} for a in many]
    (TARGET / f"{build.__name__}.json").write_text(json.dumps({"inputs": arrays(inputs), "outputs": arrays(outputs)}))


for build in (cnn, sequential, recurrent, attention, nested, volume, chain, joins, transformer, towers, folding, normalized):
    if len(sys.argv) == 1 or build.__name__ in sys.argv[1:]:
        write(build, np.random.default_rng(zlib.crc32(build.__name__.encode())))

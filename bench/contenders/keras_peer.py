"""Keras 3 on TensorFlow: the same networks, trained as its users do. Of train_on_batch and fit, with and without XLA, the fastest counts.

XLA is left out for the larger networks, which it took minutes to compile and warm up on two cores.
"""
import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
import numpy as np
import keras
import tensorflow as tf
from keras import layers

threads = int(os.environ.get("BENCH_THREADS", os.cpu_count()))
tf.config.threading.set_intra_op_parallelism_threads(threads)


def lenet_300_100():
    return (28, 28, 1), lambda x: layers.Dense(10)(layers.Dense(100, "relu")(layers.Dense(300, "relu")(layers.Flatten()(x))))


def lenet_5():
    def network(x):
        x = layers.MaxPooling2D()(layers.Conv2D(20, 5)(x))
        x = layers.MaxPooling2D()(layers.Conv2D(50, 5)(x))
        return layers.Dense(10)(layers.Dense(500, "relu")(layers.Flatten()(x)))
    return (28, 28, 1), network


def resnet_20():
    def unit(x, width, kernel=3, stride=1, relu=True):
        x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.ReLU()(x) if relu else x

    def network(x):
        x = unit(x, 16)
        channels = 16
        for width in (16, 32, 64):
            for _ in range(3):
                stride = 2 if width != channels else 1
                y = unit(unit(x, width, stride=stride), width, relu=False)
                shortcut = layers.Conv2D(width, 1, stride, padding="same", use_bias=False)(x) if stride == 2 else x
                x = layers.ReLU()(layers.Add()([y, shortcut]))
                channels = width
        return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return (32, 32, 3), network


def mobilenet_v2():
    def unit(x, width, kernel=1, stride=1, depthwise=False):
        layer = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False) if depthwise else layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)
        return layers.ReLU(6.0)(layers.BatchNormalization()(layer(x)))

    def network(x):
        x, channels = unit(x, 32, 3), 32
        for expansion, width, repeats, first in ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 3, 2), (6, 96, 2, 1)):
            for i in range(repeats):
                stride = first if i == 0 else 1
                y = unit(x, channels * expansion) if expansion > 1 else x
                y = unit(y, channels * expansion, 3, stride, depthwise=True)
                y = layers.BatchNormalization()(layers.Conv2D(width, 1, use_bias=False)(y))
                x = layers.Add()([x, y]) if stride == 1 and channels == width else y
                channels = width
        return layers.Dense(10)(layers.GlobalAveragePooling2D()(unit(x, 320)))
    return (32, 32, 3), network


def resnet_18():
    def unit(x, width, kernel=3, stride=1, relu=True):
        x = layers.BatchNormalization()(layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)(x))
        return layers.ReLU()(x) if relu else x

    def network(x):
        x, channels = unit(x, 64, stride=2), 64
        for width in (64, 128, 256, 512):
            for _ in range(2):
                stride = 2 if width != channels else 1
                y = unit(unit(x, width, stride=stride), width, relu=False)
                x = layers.ReLU()(layers.Add()([y, unit(x, width, 1, stride, relu=False) if stride == 2 else x]))
                channels = width
        return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return (64, 64, 3), network


def transformer():
    def network(x):
        for _ in range(4):
            x = layers.LayerNormalization(epsilon=1e-5)(x + layers.MultiHeadAttention(4, 32)(x, x))
            x = layers.LayerNormalization(epsilon=1e-5)(x + layers.Dense(128)(layers.Dense(512, "relu")(x)))
        return layers.Dense(10)(layers.GlobalAveragePooling1D()(x))
    return (128, 128), network


def lstm():
    return (100, 128), lambda x: layers.Dense(10)(layers.LSTM(128)(layers.LSTM(128, return_sequences=True)(x)))


# name: (batch, network)
NETWORKS = {
    "lenet-300-100": (128, lenet_300_100), "lenet-5": (128, lenet_5), "resnet-20": (128, resnet_20),
    "mobilenet-v2": (64, mobilenet_v2), "resnet-18": (32, resnet_18), "transformer": (32, transformer), "lstm": (64, lstm),
}


def build(name, jit):
    batch, network = NETWORKS[name]
    shape, network = network()
    inputs = keras.Input(shape)
    model = keras.Model(inputs, network(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=jit)
    return model, batch, shape


def ways(name):
    """Callables that train and return seconds per step."""
    rng = np.random.default_rng(1)
    steps = 8
    made = []
    for jit in ((False, True) if NETWORKS[name][0] == 128 else (False,)):
        model, batch, shape = build(name, jit)
        x = rng.uniform(-1, 1, (steps * batch, *shape)).astype("float32")
        y = rng.integers(0, 10, steps * batch).astype("int32")
        batches = [(x[i * batch:(i + 1) * batch], y[i * batch:(i + 1) * batch]) for i in range(steps)]
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch).cache().repeat(2)

        def by_batch(model=model, batches=batches):
            start = time.perf_counter()
            for a, b in batches:
                model.train_on_batch(a, b)
            return (time.perf_counter() - start) / steps

        def by_fit(model=model, data=data):
            start = time.perf_counter()
            model.fit(data, verbose=0)
            return (time.perf_counter() - start) / (2 * steps)

        made += [by_batch, by_fit]
    return made


fastest = {}
print(json.dumps({"version": f"Keras {keras.__version__}, TensorFlow {tf.__version__}"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    name = request["network"]
    if name not in fastest:
        candidates = ways(name)
        for way in candidates:
            way()
        fastest[name] = min(candidates, key=lambda way: min(way(), way()))
    times, end = [], time.perf_counter() + request["seconds"]
    while time.perf_counter() < end or not times:
        times.append(fastest[name]())
    print(json.dumps({"msPerStep": 1000 * float(np.median(times)), "steps": len(times) * 8}), flush=True)

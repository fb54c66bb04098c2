"""Models of one or a few Keras layers each, in every form their options take, with inputs and the outputs that Keras computed.

    python test/generators/make-keras-layers.py              # test/data/keras/layers/: the cases of a group in one model, gzipped
    python test/generators/make-keras-layers.py --each DIR   # every case as a model of its own, to see which one fails

Needs keras >= 3 with the tensorflow backend.
"""
import gzip
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
from keras import ops as K

TARGET = pathlib.Path(__file__).resolve().parent.parent / "data" / "keras" / "layers"
GROUPS = {}


def case(group, name, *inputs):
    """Registers a function of input tensors. An input: a shape (floats), or (shape, n): integers below n."""
    def register(build):
        assert name not in GROUPS.setdefault(group, {}), name
        GROUPS[group][name] = (inputs, build)
        return build
    return register


def each(group, options, *inputs):
    """Registers one case per entry of `options`: name -> a function of input tensors (a layer is one)."""
    for name, build in options.items():
        case(group, name, *inputs)(build)


# Convolutions.
SEQ, IMG, VOL = (11, 4), (9, 8, 4), (5, 6, 5, 2)
each("convolution", {
    "conv1d-same-stride": lambda x: L.Conv1D(3, 3, strides=2, padding="same")(x),
    "conv1d-causal-dilated": lambda x: L.Conv1D(3, 3, dilation_rate=2, padding="causal", activation="relu6")(x),
    "conv1d-groups": lambda x: L.Conv1D(4, 2, groups=2, use_bias=False)(x),
    "depthwise1d": lambda x: L.DepthwiseConv1D(3, depth_multiplier=2, padding="same", activation="leaky_relu")(x),
    "separable1d": lambda x: L.SeparableConv1D(3, 3, depth_multiplier=2, padding="same")(x),
    "separable1d-stride": lambda x: L.SeparableConv1D(3, 3, strides=2, padding="same", use_bias=False)(x),
    "transpose1d-same": lambda x: L.Conv1DTranspose(3, 3, strides=2, padding="same")(x),
    "transpose1d-valid": lambda x: L.Conv1DTranspose(3, 2, strides=3)(x),
    "transpose1d-output-padding": lambda x: L.Conv1DTranspose(3, 3, strides=2, padding="same", output_padding=1)(x),
}, SEQ)
each("convolution", {
    "conv2d-same-stride": lambda x: L.Conv2D(3, (3, 2), strides=(2, 3), padding="same")(x),
    "conv2d-first": lambda x: L.Conv2D(3, 3, padding="same", data_format="channels_first")(x),
    "conv2d-dilated": lambda x: L.Conv2D(3, 3, dilation_rate=(2, 1), activation="mish")(x),
    "depthwise2d-first": lambda x: L.DepthwiseConv2D(3, data_format="channels_first", padding="same")(x),
    "depthwise2d-dilated": lambda x: L.DepthwiseConv2D(2, dilation_rate=2)(x),
    "separable2d-first": lambda x: L.SeparableConv2D(3, 3, data_format="channels_first", padding="same")(x),
    "separable2d-dilated": lambda x: L.SeparableConv2D(3, 2, dilation_rate=2, use_bias=False)(x),
    "transpose2d-same": lambda x: L.Conv2DTranspose(3, 3, strides=2, padding="same", use_bias=False)(x),
    "transpose2d-even": lambda x: L.Conv2DTranspose(3, (4, 2), strides=(2, 3), padding="same")(x),
    "transpose2d-valid": lambda x: L.Conv2DTranspose(3, 3, strides=2)(x),
    "transpose2d-dilated": lambda x: L.Conv2DTranspose(3, 3, dilation_rate=2)(x),
    "transpose2d-output-padding": lambda x: L.Conv2DTranspose(3, (3, 5), strides=2, padding="same", output_padding=(1, 0))(x),
    "transpose2d-valid-output-padding": lambda x: L.Conv2DTranspose(3, 3, strides=2, output_padding=1)(x),
}, IMG)
each("convolution", {
    "conv3d-dilated": lambda x: L.Conv3D(3, 2, dilation_rate=2, padding="same")(x),
    "conv3d-groups": lambda x: L.Conv3D(4, 2, groups=2, strides=2)(x),
    "conv3d-first": lambda x: L.Conv3D(3, 3, padding="same", data_format="channels_first")(x),
    "transpose3d-same": lambda x: L.Conv3DTranspose(2, 3, strides=2, padding="same")(x),
    "transpose3d-valid": lambda x: L.Conv3DTranspose(2, (2, 3, 2), strides=(1, 2, 1))(x),
}, VOL)
each("convolution", {"conv2d-open": lambda x: L.Conv2D(3, 3, strides=2, padding="same")(x)}, (None, None, 3))

# Pooling.
each("pooling", {
    f"{kind.lower()}-{name}": (lambda kind=kind, options=options: lambda x: getattr(L, kind + "Pooling1D")(**options)(x))()
    for kind in ("Max", "Average") for name, options in {"1d-same": {"pool_size": 3, "strides": 2, "padding": "same"}, "1d": {"pool_size": 3}, "1d-first": {"pool_size": 2, "data_format": "channels_first"}}.items()
}, SEQ)
each("pooling", {
    f"{kind.lower()}-{name}": (lambda kind=kind, options=options: lambda x: getattr(L, kind + "Pooling2D")(**options)(x))()
    for kind in ("Max", "Average") for name, options in {"2d-same": {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}, "2d-first": {"pool_size": 3, "padding": "same", "data_format": "channels_first"}}.items()
}, IMG)
each("pooling", {
    f"{kind.lower()}-3d": (lambda kind=kind: lambda x: getattr(L, kind + "Pooling3D")(2, padding="same")(x))() for kind in ("Max", "Average")
}, VOL)
for rank, shape in ((1, SEQ), (2, IMG), (3, VOL)):
    each("pooling", {
        f"global-{kind.lower()}-{rank}d-{form}-{keep}": (lambda kind=kind, rank=rank, form=form, keep=keep: lambda x: getattr(L, f"Global{kind}Pooling{rank}D")(data_format=f"channels_{form}", keepdims=keep)(x))()
        for kind in ("Max", "Average") for form in ("first", "last") for keep in (True, False)
    }, shape)
    each("pooling", {
        f"adaptive-{kind.lower()}-{rank}d-{form}": (lambda kind=kind, rank=rank, form=form: lambda x: getattr(L, f"Adaptive{kind}Pooling{rank}D")(((3,), (3, 5), (2, 3, 3))[rank - 1], data_format=f"channels_{form}")(x))()
        for kind in ("Max", "Average") for form in ("first", "last")
    }, shape)

# Dense, embeddings, activations.
each("core", {
    "dense-rank4": lambda x: L.Dense(5, use_bias=False, activation="softmax")(x),
    "einsum-dense": lambda x: L.EinsumDense("abcd,de->abce", output_shape=(None, None, 5), bias_axes="e", activation="gelu")(x),
    "einsum-dense-heads": lambda x: L.EinsumDense("...x,xyz->...yz", output_shape=(2, 3), bias_axes="yz")(x),
    "permute": lambda x: L.Permute((3, 1, 2))(x), "reshape": lambda x: L.Reshape((-1, 6))(x),
    "flatten": lambda x: L.Flatten()(x), "flatten-first": lambda x: L.Flatten(data_format="channels_first")(L.Conv2D(2, 2, data_format="channels_first")(x)),
    "reshape-after-conv": lambda x: L.Reshape((5, -1))(L.Conv2D(2, 2)(x)),
    "prelu": lambda x: L.PReLU()(x), "prelu-shared": lambda x: L.PReLU(shared_axes=[1, 2])(L.Conv2D(3, 1)(x)),
    "softmax-axis": lambda x: L.Softmax(axis=1)(L.Conv2D(3, 1)(x)), "softmax-axes": lambda x: L.Softmax(axis=(1, 2))(x),
    "elu": lambda x: L.ELU(alpha=0.7)(x), "leaky-relu": lambda x: L.LeakyReLU(negative_slope=0.2)(x),
    "relu-all": lambda x: L.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.3)(x), "relu-threshold": lambda x: L.ReLU(threshold=0.5)(x),
    "activity": lambda x: L.ActivityRegularization(0.1)(x), "identity": lambda x: L.Identity()(L.Dropout(0.4)(x)),
    "noise": lambda x: L.GaussianNoise(0.3)(L.GaussianDropout(0.2)(L.AlphaDropout(0.2)(L.SpatialDropout2D(0.1)(x)))),
    "mixed-float16-layer": lambda x: L.Dense(3, dtype="float32")(x), "frozen": lambda x: L.Dense(3, trainable=False)(x),
    "crop-pad": lambda x: L.ZeroPadding2D(((1, 0), (2, 1)))(L.Cropping2D(((1, 2), (0, 1)))(x)),
    "crop-pad-first": lambda x: L.ZeroPadding2D((1, 2), data_format="channels_first")(L.Cropping2D((0, 1), data_format="channels_first")(x)),
    "upsample-first": lambda x: L.UpSampling2D((2, 3), data_format="channels_first")(x),
    "upsample-bicubic": lambda x: L.UpSampling2D(2, interpolation="bicubic")(x),
    "upsample-lanczos": lambda x: L.UpSampling2D(2, interpolation="lanczos5")(x),
}, (4, 6, 3))
ACTIVATIONS = ["celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
               "sigmoid", "silu", "softmax", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold"]
each("activation", {name.replace("_", "-"): (lambda name=name: lambda x: L.Activation(name)(2 * x))() for name in ACTIVATIONS if hasattr(keras.activations, name) and name != "threshold"}, (3, 4))
each("core", {
    "embedding": lambda x: L.Embedding(9, 4)(x), "embedding-rank": lambda x: L.Embedding(9, 4)(L.Reshape((2, 3))(x)),
    "reversible": lambda x: (lambda layer: layer(layer(x), reverse=True))(L.ReversibleEmbedding(9, 4)),
    "reversible-untied": lambda x: (lambda layer: layer(layer(x), reverse=True))(L.ReversibleEmbedding(9, 4, tie_weights=False, logit_soft_cap=1.5)),
}, ((6,), 9))
each("core", {
    "sequence": lambda x: L.UpSampling1D(2)(L.ZeroPadding1D((1, 2))(L.Cropping1D((1, 1))(x))), "spatial1d": lambda x: L.SpatialDropout1D(0.2)(x),
    "crop1d": lambda x: L.Cropping1D((1, 2))(x),
}, SEQ)
each("core", {
    "pad3d": lambda x: L.ZeroPadding3D(((1, 0), (0, 2), (1, 1)))(x), "crop3d": lambda x: L.Cropping3D(1)(x), "upsample3d": lambda x: L.UpSampling3D((1, 2, 2))(x),
    "pad3d-first": lambda x: L.ZeroPadding3D((1, 0, 1), data_format="channels_first")(x), "dropout3d": lambda x: L.SpatialDropout3D(0.2)(x),
}, VOL)
each("core", {"repeat": lambda x: L.RepeatVector(3)(x), "dense": lambda x: L.Dense(4, activation=keras.activations.silu)(x), "dense-elu-layer": lambda x: L.Dense(4, activation=L.LeakyReLU(negative_slope=0.4))(x)}, (5,))

# Normalization.
each("normalization", {
    "batch-last": lambda x: L.BatchNormalization()(x), "batch-first": lambda x: L.BatchNormalization(axis=1)(x), "batch-middle": lambda x: L.BatchNormalization(axis=2, scale=False)(x),
    "batch-plain": lambda x: L.BatchNormalization(center=False, scale=False, epsilon=0.1)(x), "batch-after-conv-axis1": lambda x: L.BatchNormalization(axis=1)(L.Conv2D(3, 2)(x)),
    "layer-last": lambda x: L.LayerNormalization(epsilon=0.01)(x), "layer-axes": lambda x: L.LayerNormalization(axis=(2, 3))(x), "layer-middle": lambda x: L.LayerNormalization(axis=2)(x),
    "layer-two-apart": lambda x: L.LayerNormalization(axis=(1, 3))(x), "layer-plain": lambda x: L.LayerNormalization(center=False, scale=False)(x), "layer-all": lambda x: L.LayerNormalization(axis=(1, 2, 3))(L.Conv2D(4, 2)(x)),
    "group": lambda x: L.GroupNormalization(2)(x), "group-instance": lambda x: L.GroupNormalization(-1)(x), "group-axis1": lambda x: L.GroupNormalization(2, axis=1)(x),
    "group-axis2": lambda x: L.GroupNormalization(2, axis=2, center=False)(x), "group-one": lambda x: L.GroupNormalization(1, scale=False)(x),
    "rms": lambda x: L.RMSNormalization()(x), "rms-axes": lambda x: L.RMSNormalization(axis=(2, 3))(x), "rms-plain": lambda x: L.RMSNormalization(epsilon=0.1)(L.Conv2D(4, 2)(x)),
    "unit": lambda x: L.UnitNormalization()(x), "unit-axes": lambda x: L.UnitNormalization(axis=[1, 2])(x), "unit-axis1": lambda x: L.UnitNormalization(axis=1)(L.Conv2D(4, 2)(x)),
    "spectral-conv": lambda x: L.SpectralNormalization(L.Conv2D(3, 2))(x),
}, (6, 4, 4))
each("normalization", {"spectral-dense": lambda x: L.SpectralNormalization(L.Dense(4), power_iterations=2)(x), "batch-flat": lambda x: L.BatchNormalization()(x), "group-flat": lambda x: L.GroupNormalization(3)(x)}, (6,))

# Merging.
each("merge", {
    "add": lambda a, b: L.Add()([a, b, a]), "subtract": lambda a, b: L.Subtract()([a, b]), "multiply": lambda a, b: L.Multiply()([a, b, b]), "average": lambda a, b: L.Average()([a, b, a]),
    "maximum": lambda a, b: L.Maximum()([a, b]), "minimum": lambda a, b: L.Minimum()([a, b]), "concatenate": lambda a, b: L.Concatenate(axis=1)([a, b]),
    "dot": lambda a, b: L.Dot(axes=(2, 2))([a, b]), "dot-unit": lambda a, b: L.Dot(axes=1, normalize=True)([a, b]), "dot-cross": lambda a, b: L.Dot(axes=(1, 2))([a, L.Permute((2, 1))(b)]),
}, (4, 3), (4, 3))
each("merge", {
    "ranks": lambda a, b: L.Add()([a, b]), "broadcast-after-conv": lambda a, b: L.Multiply()([L.Conv2D(3, 1)(a), L.Reshape((1, 1, 3))(b)]), "ranks-after-conv": lambda a, b: L.Add()([L.Conv2D(3, 1)(a), b]),
    "dot-ranks": lambda a, b: L.Dot(axes=(3, 1))([a, b]), "concatenate-mixed": lambda a, b: L.Concatenate(axis=2)([L.Conv2D(3, 1)(a), a]),
}, (4, 5, 3), (3,))
each("merge", {"dot-rank4": lambda a, b: L.Dot(axes=(2, 1))([a, b]), "dot-rank4-unit": lambda a, b: L.Dot(axes=(3, 3), normalize=True)([a, b])}, (2, 3, 4), (3, 2, 4))

# Recurrent layers.
RNN = (5, 3)
each("recurrent", {
    "lstm-sequences": lambda x: L.LSTM(4, return_sequences=True)(x), "lstm-state": lambda x: L.LSTM(4, return_state=True)(x), "lstm-backwards": lambda x: L.LSTM(4, go_backwards=True, return_sequences=True, return_state=True)(x),
    "lstm-activations": lambda x: L.LSTM(4, activation="gelu", recurrent_activation="silu")(x), "lstm-no-bias": lambda x: L.LSTM(4, use_bias=False, unroll=True)(x), "lstm-elu": lambda x: L.LSTM(4, activation="elu", recurrent_activation="hard_sigmoid")(x),
    "gru": lambda x: L.GRU(4, return_sequences=True, return_state=True)(x), "gru-before": lambda x: L.GRU(4, reset_after=False)(x), "gru-before-no-bias": lambda x: L.GRU(4, reset_after=False, use_bias=False)(x),
    "gru-no-bias": lambda x: L.GRU(4, use_bias=False, go_backwards=True)(x), "gru-activations": lambda x: L.GRU(4, activation="relu6", recurrent_activation="softsign", reset_after=False)(x),
    "gru-after-activations": lambda x: L.GRU(4, activation="swish")(x), "simple": lambda x: L.SimpleRNN(4, activation="relu", return_sequences=True)(x), "simple-no-bias": lambda x: L.SimpleRNN(4, use_bias=False, activation="linear")(x),
    "simple-gelu": lambda x: L.SimpleRNN(4, activation="gelu", return_state=True)(x),
    "rnn-lstm-cell": lambda x: L.RNN(L.LSTMCell(4), return_sequences=True)(x), "rnn-gru-cell": lambda x: L.RNN(L.GRUCell(4), return_state=True)(x), "rnn-simple-cell": lambda x: L.RNN(L.SimpleRNNCell(4), go_backwards=True)(x),
    "rnn-stacked": lambda x: L.RNN(L.StackedRNNCells([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(5)]), return_sequences=True)(x), "rnn-list": lambda x: L.RNN([L.GRUCell(4, reset_after=False), L.LSTMCell(3)])(x),
    **{f"bidirectional-{mode}": (lambda mode=mode: lambda x: L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode=mode)(x))() for mode in ("concat", "sum", "mul", "ave", None)},
    **{f"bidirectional-last-{mode}": (lambda mode=mode: lambda x: L.Bidirectional(L.GRU(3), merge_mode=mode)(x))() for mode in ("concat", "mul", None)},
    "bidirectional-state": lambda x: L.Bidirectional(L.LSTM(3, return_sequences=True, return_state=True))(x), 
    "bidirectional-two": lambda x: L.Bidirectional(L.LSTM(3), backward_layer=L.GRU(3, go_backwards=True))(x), "bidirectional-rnn": lambda x: L.Bidirectional(L.RNN(L.LSTMCell(3)))(x), "bidirectional-gelu": lambda x: L.Bidirectional(L.SimpleRNN(3, activation="gelu", return_state=True), merge_mode="sum")(x),
    "bidirectional-none-state": lambda x: L.Bidirectional(L.GRU(3, return_state=True), merge_mode=None)(x),
    "initial": lambda x: L.LSTM(4)(x, initial_state=[L.Dense(4)(x[:, 0]), L.Dense(4)(x[:, 1])]), "initial-gru": lambda x: L.GRU(4, return_sequences=True)(x, initial_state=L.Dense(4)(x[:, 0])),
    "initial-bidirectional": lambda x: L.Bidirectional(L.GRU(3))(x, initial_state=[L.Dense(3)(x[:, 0]), L.Dense(3)(x[:, 1])]),
    "encoder-decoder": lambda x: (lambda y, *s: L.LSTM(4, return_sequences=True)(x, initial_state=list(s)))(*L.LSTM(4, return_state=True)(x)),
    "time-distributed": lambda x: L.TimeDistributed(L.Dense(2, activation="tanh"))(x),
}, RNN)
each("recurrent", {"lstm-open": lambda x: L.LSTM(4, return_sequences=True, activation="gelu")(x), "time-distributed-open": lambda x: L.TimeDistributed(L.Dense(2))(x)}, (None, 3))
each("recurrent", {
    "convlstm1d": lambda x: L.ConvLSTM1D(2, 3, padding="same", return_sequences=True)(x), "convlstm1d-state": lambda x: L.ConvLSTM1D(2, 2, strides=2, return_state=True, go_backwards=True)(x),
    "time-distributed-conv": lambda x: L.TimeDistributed(L.Conv1D(2, 3))(x), "time-distributed-lstm": lambda x: L.TimeDistributed(L.LSTM(2))(x),
}, (3, 6, 2))
each("recurrent", {
    "convlstm2d": lambda x: L.ConvLSTM2D(2, (3, 2), recurrent_activation="hard_sigmoid", use_bias=False)(x), "convlstm2d-first": lambda x: L.ConvLSTM2D(2, 2, padding="same", data_format="channels_first", return_sequences=True)(x),
    "convlstm2d-dilated": lambda x: L.ConvLSTM2D(2, 2, dilation_rate=2, padding="same")(x), "time-distributed-model": lambda x: L.TimeDistributed(keras.Sequential([keras.Input((4, 5, 2)), L.Conv2D(3, 2), L.BatchNormalization(), L.Flatten(), L.Dense(2)]))(x),
    "bidirectional-convlstm": lambda x: L.Bidirectional(L.ConvLSTM2D(2, 2, padding="same", return_sequences=True))(x), "time-distributed-twice": lambda x: L.TimeDistributed(L.TimeDistributed(L.Dense(3)))(x),
}, (3, 4, 5, 2))
each("recurrent", {"convlstm3d": lambda x: L.ConvLSTM3D(2, 2, padding="same")(x)}, (2, 3, 4, 3, 2))

# Masks: which steps count.
TOKENS = ((6,), 4)
FRESH = lambda x: L.Embedding(4, 3, mask_zero=True)(x)
EMBEDDED = {}


def MASKED(x):
    """One embedding for all cases of an input; attention, which takes masks off its inputs, gets a FRESH one."""
    if id(x) not in EMBEDDED:
        EMBEDDED[id(x)] = x, FRESH(x)
    return EMBEDDED[id(x)][1]


each("mask", {
    "embedding-lstm": lambda x: L.LSTM(4)(MASKED(x)), "embedding-lstm-sequences": lambda x: L.LSTM(4, return_sequences=True, return_state=True)(MASKED(x)), "gru-backwards": lambda x: L.GRU(4, return_sequences=True, go_backwards=True)(MASKED(x)),
    "gru-before": lambda x: L.GRU(4, reset_after=False, return_state=True)(MASKED(x)), "simple": lambda x: L.SimpleRNN(4, return_sequences=True)(MASKED(x)), "stacked": lambda x: L.LSTM(2)(L.Dropout(0.3)(L.Dense(3)(L.LSTM(4, return_sequences=True)(MASKED(x))))),
    "bidirectional": lambda x: L.Bidirectional(L.LSTM(3, return_sequences=True))(MASKED(x)), "bidirectional-gru": lambda x: L.Bidirectional(L.GRU(3), merge_mode="sum")(MASKED(x)), "rnn-cells": lambda x: L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)(MASKED(x)),
    "rnn-zero-output": lambda x: L.RNN(L.LSTMCell(3), return_sequences=True, zero_output_for_mask=True)(MASKED(x)), "global-average": lambda x: L.GlobalAveragePooling1D()(MASKED(x)), "global-average-keep": lambda x: L.GlobalAveragePooling1D(keepdims=True)(L.LayerNormalization()(MASKED(x))),
    "global-max-ignores": lambda x: L.GlobalMaxPooling1D()(MASKED(x)), "conv-drops": lambda x: L.GRU(2)(L.Conv1D(3, 3, padding="same")(MASKED(x))), "time-distributed": lambda x: L.LSTM(2)(L.TimeDistributed(L.Dense(3))(MASKED(x))),
    "attention": lambda x: L.Attention()([MASKED(x), MASKED(x)]), "attention-causal": lambda x: (lambda e: L.Attention(use_scale=True)([e, e], use_causal_mask=True))(MASKED(x)), "additive": lambda x: (lambda e: L.AdditiveAttention()([e, e]))(MASKED(x)),
    "multi-head": lambda x: (lambda e: L.MultiHeadAttention(2, 3)(e, e))(FRESH(x)), "multi-head-causal": lambda x: (lambda e: L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(e, e, use_causal_mask=True)))(FRESH(x)),
    "multi-head-residual": lambda x: (lambda e: L.GlobalAveragePooling1D()(L.Add()([e, L.MultiHeadAttention(2, 3)(e, e)])))(FRESH(x)), "multi-head-residual-op": lambda x: (lambda e: L.GlobalAveragePooling1D()(e + L.MultiHeadAttention(2, 3)(e, e)))(FRESH(x)),
    "grouped-query": lambda x: (lambda e: L.GlobalAveragePooling1D()(L.GroupQueryAttention(3, 4, 2)(e, e)))(FRESH(x)), "nested": lambda x: keras.Sequential([keras.Input((6, 3)), L.Dense(3), L.LSTM(2)])(MASKED(x)),
    "nested-inside": lambda x: L.LSTM(2)(keras.Sequential([keras.Input((6,)), L.Embedding(4, 3, mask_zero=True), L.Dense(3)])(x)),
    "reversible": lambda x: L.LSTM(2)(L.ReversibleEmbedding(4, 3, mask_zero=True)(x)),
    "bidirectional-convolved": lambda x: L.Bidirectional(L.GRU(3, return_sequences=True, return_state=True), merge_mode=None)(MASKED(x)),
}, TOKENS)
each("mask", {
    "add": lambda x, y: L.GRU(3)(L.Add()([MASKED(x), MASKED(y)])), "add-one-masked": lambda x, y: L.GRU(3)(L.Add()([MASKED(x), L.Embedding(4, 3)(y)])), "multiply": lambda x, y: L.GRU(3, return_sequences=True)(L.Multiply()([MASKED(x), MASKED(y)])),
    "multiply-one-masked": lambda x, y: L.GRU(3)(L.Multiply()([MASKED(x), L.Embedding(4, 3)(y)])), "maximum": lambda x, y: L.GRU(3)(L.Maximum()([MASKED(x), MASKED(y)])), "minimum-one-masked": lambda x, y: L.GRU(3)(L.Minimum()([MASKED(x), L.Embedding(4, 3)(y)])),
    "concatenate": lambda x, y: L.GRU(3)(L.Concatenate(name="join")([MASKED(x), MASKED(y)])), "concatenate-steps": lambda x, y: L.GRU(3)(L.Concatenate(axis=1, name="append")([MASKED(x), L.Embedding(4, 3)(y)])),
    "average": lambda x, y: L.GlobalAveragePooling1D()(L.Average()([MASKED(x), MASKED(y)])), "cross-attention": lambda x, y: L.MultiHeadAttention(2, 3, value_dim=2)(FRESH(x), FRESH(y)), "attention-three": lambda x, y: L.Attention(score_mode="concat")([MASKED(x), MASKED(y), L.Embedding(4, 3)(y)]),
    "cross-attention-key": lambda x, y: L.MultiHeadAttention(2, 3)(FRESH(x), L.Embedding(4, 5)(y), key=FRESH(y)), "maximum-one-masked": lambda x, y: L.GRU(3)(L.Maximum()([L.Embedding(4, 3)(y), MASKED(x)])), "subtract": lambda x, y: L.GRU(3)(L.Subtract()([MASKED(x), MASKED(y)])),
}, TOKENS, TOKENS)
each("mask", {
    "masking": lambda x: L.LSTM(4)(L.Masking(1.0)(x)), "masking-average": lambda x: L.GlobalAveragePooling1D()(L.Masking(1.0)(x)), "masking-batch-norm": lambda x: L.GRU(3)(L.BatchNormalization()(L.Masking(1.0)(x))),
    "masking-reshape": lambda x: L.LSTM(4)(L.Reshape((6, 2))(L.Masking(1.0)(x))), "masking-activation": lambda x: L.LSTM(4)(L.LeakyReLU()(L.Activation("tanh")(L.Masking(1.0)(x)))), "masking-op": lambda x: L.LSTM(4)(K.relu(L.Masking(1.0)(x))),
}, ((6, 2), 2))
each("mask", {"explicit": lambda x, m: L.LSTM(4)(x, mask=K.not_equal(m, 0)), "explicit-average": lambda x, m: L.GlobalAveragePooling1D()(x, mask=K.cast(m, "bool")), "explicit-softmax": lambda x, m: L.Softmax()(x[:, :, 0], mask=K.cast(m, "bool")),
              "attention-mask": lambda x, m: L.MultiHeadAttention(2, 3)(x, x, attention_mask=K.cast(K.expand_dims(m, 1), "bool")), "attention-explicit": lambda x, m: L.Attention()([x, x], mask=[K.cast(m, "bool"), K.cast(m, "bool")])}, (5, 3), ((5,), 2))
each("mask", {"convlstm": lambda x: L.ConvLSTM1D(2, 2, return_sequences=True)(K.cast(x, "float32"), mask=K.any(K.not_equal(x, 0), axis=(2, 3)))}, ((4, 3, 2), 2))

# Attention.
each("attention", {
    "multi-head": lambda q, v: L.MultiHeadAttention(2, 3)(q, v), "value-dim": lambda q, v: L.MultiHeadAttention(2, 3, value_dim=5, use_bias=False)(q, v), "output-shape": lambda q, v: L.MultiHeadAttention(2, 3, output_shape=(2, 3))(q, v),
    "scores": lambda q, v: L.MultiHeadAttention(2, 3, dropout=0.2)(q, v, return_attention_scores=True), "causal": lambda q, v: L.MultiHeadAttention(2, 3)(q, q, use_causal_mask=True), "causal-cross": lambda q, v: L.MultiHeadAttention(2, 3)(q, v, use_causal_mask=True),
    "window": lambda q, v: L.MultiHeadAttention(2, 3, sliding_window=2)(q, q), "gate": lambda q, v: L.MultiHeadAttention(2, 3, use_gate=True)(q, v), "key": lambda q, v: L.MultiHeadAttention(2, 3)(q, v, key=L.Dense(2)(v)),
    "grouped-query": lambda q, v: L.GroupQueryAttention(3, 4, 2)(q, v), "grouped-query-scores": lambda q, v: L.GroupQueryAttention(3, 4, 1, use_bias=False)(q, v, return_attention_scores=True), "grouped-query-causal": lambda q, v: L.GroupQueryAttention(3, 2, 2, sliding_window=3)(q, q, use_causal_mask=True),
    "grouped-query-gate": lambda q, v: L.GroupQueryAttention(3, 4, 2, use_gate=True)(q, v),
    "dot": lambda q, v: L.Attention()([q, v]), "dot-scale": lambda q, v: L.Attention(use_scale=True)([q, v, L.Dense(3)(v)]), "dot-concat": lambda q, v: L.Attention(score_mode="concat", use_scale=True)([q, v], return_attention_scores=True),
    "dot-causal": lambda q, v: L.Attention()([q, v], use_causal_mask=True), "additive": lambda q, v: L.AdditiveAttention()([q, v]), "additive-plain": lambda q, v: L.AdditiveAttention(use_scale=False)([q, v], return_attention_scores=True),
    "attention-mask": lambda q, v: L.MultiHeadAttention(2, 3)(q, v, attention_mask=K.greater(K.matmul(q, K.transpose(v, (0, 2, 1))), -0.5)),
}, (5, 3), (4, 3))
each("attention", {"axes": lambda x: L.MultiHeadAttention(2, 3, attention_axes=(2,))(x, x), "two-axes": lambda x: L.MultiHeadAttention(2, 3)(x, x)}, (3, 4, 2))

# Preprocessing.
each("preprocessing", {
    "resizing": lambda x: L.Resizing(5, 7)(x), "resizing-nearest": lambda x: L.Resizing(5, 11, interpolation="nearest")(x), "resizing-bicubic": lambda x: L.Resizing(9, 12, interpolation="bicubic")(x), "resizing-down": lambda x: L.Resizing(3, 4)(x),
    "resizing-lanczos": lambda x: L.Resizing(4, 11, interpolation="lanczos3")(x), "resizing-area": lambda x: L.Resizing(4, 3, interpolation="area")(x), "resizing-antialias": lambda x: L.Resizing(4, 3, antialias=True)(x),
    "resizing-crop": lambda x: L.Resizing(5, 5, crop_to_aspect_ratio=True)(x), "resizing-pad": lambda x: L.Resizing(6, 6, pad_to_aspect_ratio=True, fill_value=0.5)(x), "resizing-first": lambda x: L.Resizing(5, 2, data_format="channels_first")(x),
    "center-crop": lambda x: L.CenterCrop(4, 5)(x), "center-crop-larger": lambda x: L.CenterCrop(12, 10)(x), "center-crop-first": lambda x: L.CenterCrop(3, 2, data_format="channels_first")(x), "random-crop": lambda x: L.RandomCrop(4, 5)(x),
    "rescaling": lambda x: L.Rescaling(0.5, offset=-1.0)(x), "rescaling-channels": lambda x: L.Rescaling([0.5, 1.0, 2.0], offset=[0.0, 0.1, 0.2])(x), "normalization": lambda x: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 0.5])(x),
    "normalization-invert": lambda x: L.Normalization(mean=0.4, variance=2.0, invert=True, axis=None)(x), "random-crop-only": lambda x: L.RandomCrop(7, 9)(x),
    "pipeline": lambda x: L.Pipeline([L.Rescaling(0.5), L.Resizing(4, 4)])(x),
}, (7, 9, 3))
RANDOM = {
    "RandomFlip": (), "RandomRotation": (0.1,), "RandomZoom": (0.2,), "RandomContrast": (0.2,), "RandomTranslation": (0.1, 0.1), "RandomShear": (0.1,), "RandomHue": (0.1,), "RandomErasing": (),
    "RandomGaussianBlur": (), "RandomPerspective": (), "RandomGrayscale": (), "RandomInvert": (), "RandomColorJitter": (), "RandomElasticTransform": (), "AugMix": (), "RandAugment": (),
    "CutMix": (), "MixUp": (),
}
each("random", {name: (lambda name=name, options=options: lambda x: keras.Sequential([keras.Input((4, 4, 3)), getattr(L, name)(*options), L.Rescaling(2.0)], name=f"of_{name}")(x))() for name, options in RANDOM.items()}, (4, 4, 3))
each("preprocessing", {
    "integer-lookup": lambda x: L.IntegerLookup(vocabulary=[3, 5, 1])(x), "integer-lookup-one-hot": lambda x: L.IntegerLookup(vocabulary=[3, 5, 1, 0, 2, 4, 6], output_mode="multi_hot")(x),
    "integer-lookup-mask": lambda x: L.IntegerLookup(vocabulary=[3, 5, 1], mask_token=0, oov_token=-2)(x), "integer-lookup-count": lambda x: L.IntegerLookup(vocabulary=[3, 5, 1], output_mode="count")(x), "integer-lookup-embedding": lambda x: L.Embedding(4, 2)(L.IntegerLookup(vocabulary=[3, 5, 1])(x)),
    "category-one-hot": lambda x: L.CategoryEncoding(7, output_mode="one_hot")(x), "category-multi-hot": lambda x: L.CategoryEncoding(7)(x), "category-count": lambda x: L.CategoryEncoding(7, output_mode="count")(x), "dense-of-ints": lambda x: L.Dense(2)(K.cast(x, "float32")), "rescaling-ints": lambda x: L.Rescaling(0.25)(x),
}, ((4,), 7))
each("preprocessing", {
    "discretization": lambda x: L.Discretization(bin_boundaries=[-0.5, 0.0, 0.7])(x), "discretization-one-hot": lambda x: L.Discretization(bin_boundaries=[-0.5, 0.0, 0.7], output_mode="multi_hot")(x), "discretization-count": lambda x: L.Discretization(bin_boundaries=[-0.5, 0.0], output_mode="count")(x),
    "category-weights": lambda x: L.CategoryEncoding(4, output_mode="count")(L.Discretization(bin_boundaries=[-0.5, 0.0, 0.7])(x), count_weights=x),
}, (5,))
each("preprocessing", {
    "stft-log": lambda x: L.STFTSpectrogram(frame_length=16, frame_step=8, fft_length=32)(x), "stft-real": lambda x: L.STFTSpectrogram(mode="real", frame_length=12, frame_step=5, fft_length=16, scaling="density", periodic=True)(x),
    "stft-psd": lambda x: L.STFTSpectrogram(mode="psd", frame_length=16, frame_step=8, fft_length=16, window="hamming", padding="same")(x), "stft-imag": lambda x: L.STFTSpectrogram(mode="imag", frame_length=16, frame_step=8, fft_length=16, scaling="spectrum")(x),
    "stft-magnitude-expand": lambda x: L.STFTSpectrogram(mode="magnitude", frame_length=16, frame_step=8, fft_length=16, window=None, expand_dims=True)(x), "stft-both": lambda x: L.STFTSpectrogram(mode="stft", frame_length=16, frame_step=8, fft_length=16)(x),
}, (96, 2))
each("preprocessing", {
    "mel": lambda x: L.MelSpectrogram(num_mel_bins=8, fft_length=32, sequence_stride=16, sampling_rate=400, min_freq=5, max_freq=190)(x),
    "mel-magnitude": lambda x: L.MelSpectrogram(num_mel_bins=6, fft_length=32, sequence_stride=8, sequence_length=24, sampling_rate=400, power_to_db=False, mag_exp=1.0, window="hamming")(x),
}, (96,))

# Operations: functions of keras.ops on tensors of a functional model.
each("operation", {
    "arithmetic": lambda a, b: ((a + b) * 2 - b / 3) ** 2 - (-a), "reversed": lambda a, b: 1 - a + 2 / (K.abs(b) + 1) + K.power(2.0, a), "comparison": lambda a, b: K.where(a > b, a, b * 0.5), "logic": lambda a, b: K.cast(K.logical_and(a > 0, K.logical_not(b < 0)), "float32"),
    "matmul": lambda a, b: K.matmul(a, K.transpose(b, (0, 2, 1))), "einsum": lambda a, b: K.einsum("bij,bkj->bik", a, b), "concatenate": lambda a, b: K.concatenate([a, b], axis=-1), "stack": lambda a, b: K.stack([a, b], axis=1), "maximum": lambda a, b: K.maximum(a, b) + K.minimum(a, 0.1),
    "reductions": lambda a, b: [K.mean(a, axis=-1), K.sum(b, axis=(1, 2)), K.max(a, axis=1, keepdims=True), K.min(b, axis=-1), K.prod(a, axis=2), K.var(a, axis=1), K.std(b, axis=-1, keepdims=True)],
    "elementwise": lambda a, b: K.exp(a) + K.log(K.abs(b) + 1) + K.sqrt(K.square(a)) + K.sin(a) * K.cos(b) + K.tanh(a) + K.sign(b) + K.floor(a) + K.ceil(b) + K.round(a) + K.rsqrt(K.abs(a) + 1) + K.log1p(K.abs(b)) + K.expm1(a) + K.reciprocal(K.abs(b) + 1) + K.negative(a),
    "activations": lambda a, b: K.relu(a) + K.sigmoid(b) + K.softmax(a) + K.silu(b) + K.gelu(a) + K.elu(b) + K.selu(a) + K.softplus(b) + K.softsign(a) + K.leaky_relu(b, negative_slope=0.3) + K.hard_sigmoid(a) + K.relu6(b) + K.log_softmax(a, axis=1) + K.hard_silu(b) + K.gelu(b, approximate=False),
    "shapes": lambda a, b: [K.reshape(a, (-1, 6)), K.expand_dims(a, 1), K.squeeze(K.expand_dims(b, 2), 2), K.flip(a, axis=1), K.swapaxes(b, 1, 2), K.moveaxis(a, 2, 1), K.tile(a, (1, 2, 1)), K.repeat(b, 2, axis=1), K.pad(a, ((0, 0), (1, 2), (0, 0))), K.roll(a, 1, axis=1), K.broadcast_to(a[:, :, :1], (2, 4, 3))],
    "index": lambda a, b: [a[:, 0], a[:, 1:, :2], b[:, ::2], a[..., -1], b[:, ::-1], a[:, None, 2], b[:, -3:-1, 1:]], "split": lambda a, b: K.split(a, 2, axis=1) + K.unstack(b, axis=2), "clip": lambda a, b: K.clip(a, -0.5, 0.5), "norms": lambda a, b: K.normalize(a, axis=-1) + K.norm(b, axis=-1, keepdims=True),
    "logsumexp": lambda a, b: [K.logsumexp(a, axis=-1), K.cumsum(b, axis=1), K.argmax(a, axis=-1), K.argmin(b, axis=1), K.any(a > 0, axis=1), K.all(b > -1, axis=2)], "take": lambda a, b: [K.take(a, [0, 2], axis=1), K.one_hot(K.argmax(a, axis=-1), 3), K.top_k(a, 2)[0]],
    "dot": lambda a, b: [K.multiply(a, b), K.subtract(a, b), K.true_divide(a, 2.0), K.floor_divide(a, 0.5), K.mod(a, 0.7), K.arctan(a), K.equal(a, b), K.isnan(a)],
    "more": lambda a, b: [K.squareplus(b), K.tanh_shrink(a), K.soft_shrink(b, 0.3), K.hard_shrink(a, 0.4), K.celu(b, 0.7), K.glu(K.concatenate([a, b], axis=-1)), K.hard_tanh(a), K.log_sigmoid(b), K.threshold(a, 0.1, 0.2), K.erf(a), K.sinh(a), K.cosh(b), K.arcsinh(a), K.zeros_like(a) + K.ones_like(b), K.tril(a), K.triu(b, 1), K.average(a, axis=1), K.diff(a, axis=1)],
}, (4, 3), (4, 3))
each("operation", {
    "image": lambda x: [K.max_pool(x, 2), K.average_pool(x, 2, strides=1, padding="same"), K.image.resize(x, (3, 4))], "after-conv": lambda x: (lambda y: [y + x[..., :2], K.mean(y, axis=(1, 2)), K.concatenate([y, x], axis=-1), y[:, 1], K.relu(y), K.softmax(y, axis=-1), K.transpose(y, (0, 3, 1, 2))])(L.Conv2D(2, 1)(x)),
    "flatten-dense": lambda x: L.Dense(2)(K.reshape(L.Conv2D(2, 2)(x), (-1, 40))),
}, (5, 6, 3))


# Whole models.
def tower(size, name):
    i = keras.Input((size,))
    x = L.Dense(4, activation="relu", name="dense")(i)
    return keras.Model(i, [L.BatchNormalization(name="norm")(x), L.Dense(2, name="out")(x)], name=name)


@case("model", "nested-shared", (3,), (3,))
def nested_shared(a, b):
    outer_in = keras.Input((3,))
    x, y = tower(3, "inner")(outer_in)
    outer = keras.Model(outer_in, [L.Dense(3, name="outer_dense")(x), y], name="outer")
    p, q = outer(a)
    r, s = outer(b)
    t, u = outer(p)
    dense = L.Dense(3, name="shared_dense")
    return [dense(p), dense(r), L.Concatenate(name="sides")([q, s]), t, u]


@case("same-names", "blocks", (3,))
def same_names(x):
    def block(name, depth):
        i = keras.Input((3,))
        y = L.Dense(3, name="dense")(i)
        if depth:
            y = block("block", depth - 1)(y)
        return keras.Model(i, L.BatchNormalization(name="norm")(y), name=name)
    return block("block", 2)(x)


@case("model", "several-outputs-of-a-layer", (5, 3))
def several(x):
    y, h, c = L.LSTM(4, return_state=True, return_sequences=True, name="encoder")(x)
    return [L.Dense(2)(y), h + c]


@case("model", "frozen-nested", (4,))
def frozen(x):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dense(2)], name="frozen_tower")
    model.layers[1].trainable = False
    return model(x)


@case("model", "repeated-classes", (6, 6, 2))
def repeated(x):
    for i in range(12):
        x = L.Conv2D(2, 1, activation="tanh")(x)
    return L.Concatenate()([x, L.Conv2D(1, 3, padding="same", name="last")(x)])


@case("model", "wrapped-model", (4, 6))
def wrapped(x):
    inner = keras.Sequential([keras.Input((6,)), L.Dense(3), L.Dense(3, activation="tanh")], name="step")
    return L.TimeDistributed(inner)(x)


@case("model", "dictionary-inputs", (3,), (3,))
def dictionary(a, b):
    left, right = keras.Input((3,), name="zulu"), keras.Input((3,), name="alpha")
    inner = keras.Model({"zulu": left, "alpha": right}, {"sum": left + 2 * right, "a": L.Dense(2)(left)}, name="by_name")
    out = inner({"zulu": a, "alpha": b})
    return [out["sum"], out["a"]]


@case("model", "sequential-nested", (8, 2))
def sequential_nested(x):
    return keras.Sequential([keras.Sequential([L.Conv1D(3, 3), L.ReLU()]), keras.Sequential([L.Flatten(), L.Dense(2)])])(x)


def randomize(model, rng):
    """Every float array random (variances positive), so that no default hides a mistake."""
    for weight in model.weights:
        if "float" not in str(weight.dtype):
            continue
        values = np.round(rng.standard_normal(weight.shape) * 8) / 16  # few digits, so that files compress
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)


def sample(tensor, spec, rng):
    shape = [2, *[5 if size is None else size for size in tensor.shape[1:]]]
    if isinstance(spec[0], tuple):
        return rng.integers(0, spec[1], shape).astype(tensor.dtype)
    return np.round(rng.standard_normal(shape), 2).astype("float32")


def arrays(many, most=None):
    """Values row by row; of a large result at most `most`, every `step`-th (a prime to the sizes of axes, so that all places occur)."""
    def entry(a):
        step = 1 if most is None or a.size <= most else next(n for n in range(a.size // most + 1, a.size) if all(np.gcd(n, d) == 1 for d in a.shape))
        return {"shape": list(a.shape), "step": step, "data": [float(f"{v:.7g}") for v in a.ravel()[::step].tolist()]}
    return [entry(a) for a in many]


def inputs_of(name, specs, shared):
    """One input per specification; equal ones of one position are shared among the cases of a model."""
    def make(spec, label):
        return keras.Input(spec[0], dtype="int32", name=label) if isinstance(spec[0], tuple) else keras.Input(spec, name=label)
    for i, spec in enumerate(specs):
        if (spec, i) not in shared:
            shared[spec, i] = make(spec, f"in_{name}_{i}".replace("-", "_"))
    return [shared[spec, i] for i, spec in enumerate(specs)]


def flat(value):
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, (list, tuple)) else [value]


def write(folder, name, tensors, specs, outputs, compress):
    """Saves the model and what it computes; integers and booleans are given as floats."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    model = keras.Model(tensors, outputs, name=name.replace("-", "_"))
    randomize(model, rng)
    samples = [sample(tensor, spec, rng) for tensor, spec in zip(tensors, specs)]
    results = [keras.ops.convert_to_numpy(y).astype("float64") for y in flat([model.predict(samples if len(samples) > 1 else samples[0], verbose=0)])]
    folder.mkdir(parents=True, exist_ok=True)
    for extension in ("keras", "h5"):
        path = folder / f"{name}.{extension}"
        try:
            model.save(path)
        except ValueError as error:  # Keras cannot write models of nested ones that repeat a name as HDF5
            print(f"{path.name}: {error}")
            path.unlink(missing_ok=True)
            continue
        if compress:
            pathlib.Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
            path.unlink()
    text = json.dumps({"inputs": arrays(samples), "outputs": arrays(results, 24 if compress else None)})
    if compress:
        (folder / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    else:
        (folder / f"{name}.json").write_text(text)


def build(group, name, shared):
    specs, function = GROUPS[group][name]
    return flat(function(*inputs_of(name, specs, shared)))


def main():
    if "--list" in sys.argv:
        print("\n".join(f"{group}-{name}" for group, cases in GROUPS.items() for name in cases))
        return
    if "--each" in sys.argv:
        folder = pathlib.Path(sys.argv[sys.argv.index("--each") + 1])
        wanted = sys.argv[sys.argv.index("--each") + 2:]
        for group, cases in GROUPS.items():
            for name in cases:
                if wanted and not any(f"{group}-{name}".startswith(prefix) for prefix in wanted):
                    continue
                keras.utils.clear_session()
                try:
                    shared = {}
                    outputs = build(group, name, shared)
                    write(folder, f"{group}-{name}", list(shared.values()), [spec for spec, _ in shared], outputs, compress=False)
                except Exception as error:
                    print(f"{group}-{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        return
    for group, cases in GROUPS.items():
        if group == "random":  # identities: a case each is enough, when the table of layers changes
            continue
        keras.utils.clear_session()
        shared = {}
        outputs = [output for name in cases for output in build(group, name, shared)]
        write(TARGET, group, list(shared.values()), [spec for spec, _ in shared], outputs, compress=True)


main()

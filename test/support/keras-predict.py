"""Loads each Keras file and predicts: reads {"files": [{"path", "inputs": [{"shape", "data"}]}]} from stdin, writes [[{"shape", "data"}]] to stdout."""
import json
import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras
import numpy as np


def predict(path, inputs):
    model = keras.models.load_model(path)
    dtypes = [tensor.dtype for tensor in model.inputs]
    arrays = [np.asarray(i["data"], dtype=d).reshape(i["shape"]) for i, d in zip(inputs, dtypes)]
    outputs = model(arrays if len(arrays) > 1 else arrays[0], training=False)  # predict() would first compile a graph
    outputs = map(np.asarray, outputs if isinstance(outputs, list) else [outputs])
    return [{"shape": list(o.shape), "data": o.ravel().tolist()} for o in outputs]


json.dump([predict(f["path"], f["inputs"]) for f in json.load(sys.stdin)["files"]], sys.stdout)

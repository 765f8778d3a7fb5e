"""Static quantization by onnxruntime's own tools, for a comparison with ours.

Usage: python onnxruntime-quantize.py MODEL IMAGES METHOD RESULT (IMAGES: float32, 3 x 32 x 32 each; METHOD: MinMax, Entropy or
Percentile). Prints the time in ms, the processor's time in ms and the peak memory in bytes as JSON; neither time has
imports, reading or preprocessing of the model in it.
"""
import json
import os
import resource
import sys
import tempfile
import time

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

model, images, method, result = sys.argv[1:]
samples = np.fromfile(images, np.float32).reshape(-1, 3, 32, 32)


class Reader(CalibrationDataReader):
    def __init__(self, batch=32):
        starts = range(0, len(samples), batch)
        self.batches = iter([{"input": samples[at : at + batch]} for at in starts])

    def get_next(self):
        return next(self.batches, None)


def processor():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


with tempfile.TemporaryDirectory() as folder:
    ready = os.path.join(folder, "ready.onnx")
    quant_pre_process(model, ready)
    start, before = time.perf_counter(), processor()
    quantize_static(
        ready,
        result,
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        calibrate_method=CalibrationMethod[method],
    )
    ms, cpu = (time.perf_counter() - start) * 1e3, (processor() - before) * 1e3
# On Linux ru_maxrss begins with the memory of the process that started this one.
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if os.path.exists("/proc/self/status"):
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps({"ms": ms, "cpuMs": cpu, "peakBytes": peak * 1024}))

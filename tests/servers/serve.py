"""Serves a GGUF file by llama.cpp's own server, which xllamacpp from PyPI carries. Prints its address, then waits.

usage: serve.py MODEL.gguf KEY [SLOTS]
"""
import sys
import time

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.api_keys = [sys.argv[2]]
params.n_parallel = int(sys.argv[3]) if len(sys.argv) > 3 else 4
params.n_ctx = 512 * params.n_parallel
params.n_gpu_layers = 0
params.cpuparams.n_threads = 2
params.use_jinja = True
params.warmup = False
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
while True:
    time.sleep(3600)

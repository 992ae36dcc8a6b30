"""Serves an exported policy over HTTP, with TensorFlow and the standard library: nothing of rl_fn is imported.

    python experiments/serve.py runs/served/exported 8000
    curl --data '{"observation": [[0.0, 0.0, 0.05, 0.0]]}' http://127.0.0.1:8000

A request holds a batch of observations, the answer as many actions: `{"action": [1]}`. What a recurrent policy
remembers are further inputs and outputs, by the names in export.json. Only programs of this machine are served; for
others there are servers that limit who asks for how much, such as TensorFlow Serving, which takes the same folder.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import tensorflow as tf

folder, port = Path(sys.argv[1]), int(sys.argv[2])
inputs = json.loads((folder / "export.json").read_text())["inputs"]
module = tf.saved_model.load(str(folder / "saved_model"))
policy = module.signatures["serving_default"]


def answer(request):
    """The outputs by name, for the inputs by name."""
    if not isinstance(request, dict) or set(request) != {one["name"] for one in inputs}:
        raise ValueError(f"expected the inputs {', '.join(one['name'] for one in inputs)}")
    arrays = {one["name"]: np.asarray(request[one["name"]], one["dtype"]) for one in inputs}
    for one in inputs:
        given, shape = arrays[one["name"]].shape, tuple(one["shape"][1:])
        if given[1:] != shape or len(given) != len(shape) + 1:
            raise ValueError(f"{one['name']} has shape {given}, expected {('B', *shape)}")
    outputs = policy(**{name: tf.constant(array) for name, array in arrays.items()})
    return {name: leaf.numpy().tolist() for name, leaf in outputs.items()}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self):
        """Answers with actions, or with 400 and a sentence."""
        try:
            status, content = 200, answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        except (TypeError, ValueError) as error:
            status, content = 400, {"error": str(error)}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()

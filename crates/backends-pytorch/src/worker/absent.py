"""Says over the engine protocol that this build has no transformers engine yet, and ends."""

import json
import sys

print(json.dumps({"type": "hello", "version": 2, "program": "transformers engine, absent"}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["type"] == "clock":
        print(json.dumps({"type": "clock", "seq": asked["seq"], "t_ns": 0}), flush=True)
    else:
        said = {"type": "error", "kind": "unsupported", "message": "this build has no transformers engine"}
        print(json.dumps(said), flush=True)

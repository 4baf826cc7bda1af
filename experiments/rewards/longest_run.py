"""log f(x) = 0.8 * the longest run of ones in x: asked {"text":"0110"} a line, answers 1.6."""
import json
import sys

for line in sys.stdin:
    runs = json.loads(line)["text"].split("0")
    print(0.8 * max(map(len, runs)), flush=True)

"""Rewards for the tests: log f(x) = 1 + sum_i x_i, and what the arguments say goes wrong."""
import json
import os
import random
import signal
import sys
import time

mode, *rest = sys.argv[1:]


def say(answer):
    print(answer, flush=True)


if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(rest[0], "w") as file:
        print(os.getpid(), file=file)
for count, line in enumerate(sys.stdin, 1):
    question = json.loads(line)
    value = 1 + sum(map(int, question.get("state", question.get("text"))))
    if mode == "banner":
        if count == 1:
            say(0)
        time.sleep(0.2)
    if mode == "ends" and count > int(rest[0]):  # unless that file is there: ends N [FILE]
        if len(rest) < 2 or not os.path.exists(rest[1]):
            os.write(2, b"out of \xe6ther\n")  # no UTF-8
            sys.exit(1)
    if mode == "ends_once" and count > 2 and not os.path.exists(rest[0]):
        open(rest[0], "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "says" and count > 3:  # for the second state asked after the probe, and those after
        say(rest[0])
    elif mode == "silent":
        continue
    elif mode == "noisy":
        say(random.random())
    elif mode == "closes":
        os.close(1)
        time.sleep(100)
    else:
        if mode == "floods":
            sys.stderr.write("x" * (1 << 20))
        if mode == "thrice":
            value = f"{value}\n{value}\n{value}"
        if mode == "twice" or mode == "twice_later" and count > 2:
            say(value)
        say(json.dumps({"log_density": value, "padding": "x" * 1000}) if mode == "long" else value)
while mode == "stubborn":
    time.sleep(100)

"""Tables for pandas, which is asked for where one is wanted."""
import json


def pandas():
    try:
        import pandas
    except ImportError:
        raise ImportError("frames need pandas (Debian: python3-pandas)") from None
    return pandas


def results(evaluation):
    """{"nll/one_pass": 6.01, ...}: the values of evaluation.json."""
    return {f"{metric}/{estimator}": of["value"] for metric, by in evaluation["metrics"].items() for estimator, of in by.items()}


def evaluation_frame(evaluation):
    """A row a metric and estimator: value, stderr, lower, upper, status, ... and why what is missing is."""
    rows = [{"metric": metric, "estimator": estimator,
             **{key: one for key, one in of.items() if not isinstance(one, (dict, list))}}
            for metric, by in evaluation["metrics"].items() for estimator, of in by.items()]
    rows += [{"metric": metric, "estimator": "", "status": "unavailable", "why": why}
             for metric, why in evaluation.get("unavailable", {}).items()]
    return pandas().DataFrame(rows).set_index(["metric", "estimator"]) if rows else pandas().DataFrame()


def metrics_frame(file):
    """metrics.jsonl: a row a line, by step."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    flat = [{**{key: one for key, one in line.items() if not isinstance(one, dict)},
             **{key: one for part in line.values() if isinstance(part, dict) for key, one in part.items()}} for line in lines]
    return pandas().DataFrame(flat)

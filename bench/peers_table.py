#!/usr/bin/env python3
"""peers_table.py [--json] FILE: what bench/peers.sh measured, as a table or as JSON lines.

FILE has a line a measurement: the JSON of `mae bench step` or bench/peer_pytorch.py with a "case".
Images per second: the median over the rounds of each round's median, the slowest and the fastest
round. Memory: most resident bytes of any round (not of the loader). Ratios are mae over the other:
of the medians, and the least of any round, in which the two ran one after the other.
"""
import json
import statistics
import sys


def read(path):
    """{case: {program: [measurement, ...]}}, in order of appearance."""
    cases = {}
    with open(path) as f:
        for line in f:
            m = json.loads(line)
            cases.setdefault(m["case"], {}).setdefault(m.get("program", "mae"), []).append(m)
    return cases


def summary(case, program, rounds, mae):
    speed = [m["images_per_s_median"] for m in rounds]
    s = {"case": case, "program": program, "rounds": len(rounds),
         "threads": rounds[0].get("threads", 1),
         "images_per_s_median": statistics.median(speed), "images_per_s_min": min(speed),
         "images_per_s_max": max(speed)}
    if case != "loader":
        s["bytes_peak_rss"] = max(m["bytes_peak_rss"] for m in rounds)
    if program == "mae":
        if case != "loader":
            s["fraction_of_peak"] = statistics.median(m["fraction_of_peak"] for m in rounds)
        return s
    own = [m["images_per_s_median"] for m in mae]
    s["speed_ratio"] = statistics.median(own) / s["images_per_s_median"]
    s["speed_ratio_min"] = min(a / b for a, b in zip(own, speed))
    if case != "loader":
        s["memory_ratio"] = max(m["bytes_peak_rss"] for m in mae) / s["bytes_peak_rss"]
    return s


def row(s):
    memory = f"{s['bytes_peak_rss'] / 1e9:.2f} GB" if "bytes_peak_rss" in s else ""
    faster = less = ""
    if "speed_ratio" in s:
        faster = f"{s['speed_ratio']:.2f}x (least {s['speed_ratio_min']:.2f}x)"
    if "memory_ratio" in s:
        less = f"{s['memory_ratio']:.2f}"
    return (f"| {s['case']} | {s['program']} | {s['images_per_s_median']:.2f} "
            f"({s['images_per_s_min']:.2f} to {s['images_per_s_max']:.2f}) "
            f"| {memory} | {faster} | {less} |")


def main():
    as_json = sys.argv[1:2] == ["--json"]
    cases = read(sys.argv[-1])
    if not as_json:
        print("| case | program | images/s: median of the rounds (slowest to fastest) "
              "| peak memory | mae is faster by | its memory |\n|---|---|---|---|---|---|")
    for case, programs in cases.items():
        for program, rounds in programs.items():
            s = summary(case, program, rounds, programs["mae"])
            print(json.dumps(s) if as_json else row(s))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes what the documents show of runs, from real runs: for the README the board and the report as
pictures, and what the default test prints; for docs/operations.md what a run across hosts prints, and
the reports of two of them side by side. Each carries the revision and the date of its run.

usage: docs/pictures.py [fleet]      (with build/release/baiwan; from the top of the clone; fleet: as root)

Needs what the project itself does not: the Debian packages tmux (which knows what a terminal shows)
and chromium (which draws the report). Runs for two to three minutes.
"""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LONG_RUN = ["--users-per-cell", "10000", "--rounds", "3"]  # long enough for a board worth seeing
BOARD_AT_S = 15
COLUMNS, ROWS = 100, 24
CELL_W, CELL_H = 8.4, 18  # of a character, in pixels
NBSP = "\u00a0"  # viewers of SVG run other spaces together
COLORS = {31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 36: "#39c5cf"}
PICTURES = "docs/pictures"
BEGIN, END = "<!-- run: begin -->", "<!-- run: end -->"


def spans(line):
    """[(text, style)] of a line with SGR sequences; style: set of "bold", "dim", a colour."""
    style, color, result = set(), None, []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        match = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not match:
            if part:
                result.append((part, frozenset(style), color))
            continue
        for code in (int(c or 0) for c in match.group(1).split(";")):
            if code == 0:
                style, color = set(), None
            elif code == 1:
                style.add("bold")
            elif code == 2:
                style.add("dim")
            elif code == 22:
                style -= {"bold", "dim"}
            elif code == 39:
                color = None
            elif code in COLORS:
                color = COLORS[code]
    return result


def svg(lines, title):
    width, height = COLUMNS * CELL_W + 24, len(lines) * CELL_H + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
           f'width="{width:.0f}" height="{height:.0f}">',
           f"<title>{html.escape(title)}</title>",
           '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
           '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" '
           'fill="#e6edf3">']
    for row, line in enumerate(lines):
        column = 0
        for text, style, color in spans(line):
            if text.strip():
                shown = html.escape(text).replace(" ", NBSP)
                more = f' fill="{color}"' if color else ""
                more += ' font-weight="bold"' if "bold" in style else ""
                more += ' opacity="0.65"' if "dim" in style else ""
                out.append(f'<text x="{12 + column * CELL_W:.1f}" y="{26 + row * CELL_H}" '
                           f'textLength="{len(text) * CELL_W:.1f}" '
                           f'lengthAdjust="spacingAndGlyphs"{more}>{shown}</text>')
            column += len(text)
    return "\n".join(out + ["</g>", "</svg>", ""])


def result_of(folder):
    with open(f"{folder}/result.json", encoding="utf-8") as file:
        result = json.load(file)
    if result["exit_code"] != 0:
        sys.exit("the run was not verified: nothing to show")
    if result["revision"] == "unknown":
        sys.exit("the program does not know its revision: build it in a clone")
    return result


def stamp(result):
    machine = result["machine"]
    return (f"revision {result['revision']}, {result['date']}, {machine['cpus']} CPUs "
            f"({machine['cpu']}), {machine['memory_mib']} MiB, steal "
            f"{100 * machine['steal_share']:.1f} %")


def board(program, runs):
    """Plays the long run in a terminal; the lines of its board BOARD_AT_S seconds in."""
    tmux = ["tmux", "-L", f"baiwan-pictures-{os.getpid()}", "-f", "/dev/null"]
    command = " ".join([program, "stress", "--runs", runs, *LONG_RUN])
    subprocess.run([*tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS),
                    f"{command}; sleep 600"], check=True)
    try:
        time.sleep(BOARD_AT_S)
        shown = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True,
                               capture_output=True, text=True).stdout
        until = time.monotonic() + 300
        while not os.path.exists(f"{runs}/latest/report.html") and time.monotonic() < until:
            time.sleep(1)
        time.sleep(2)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    lines = shown.rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    first = next(i for i, line in enumerate(plain) if line.startswith("sum"))
    return lines[first:]


def screenshot(page, picture, height=1150):
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu",
                        "--hide-scrollbars",
                        f"--user-data-dir={profile}", f"--window-size=1000,{height}",
                        f"--screenshot={picture}", f"file://{page}"],
                       check=True, timeout=60, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def replace_run(document, text):
    with open(document, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    with open(document, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


def across_hosts(program, runs, name, users):
    """What it prints, and its result."""
    words = ["fleet", "test", "--hosts", "4", "--users-per-host", str(users), "--run", name]
    run = subprocess.run([program, *words, "--runs", runs], check=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # Where there is no terminal the board is a line a beat: they are not what is shown here.
    lines = [line for line in run.stdout.splitlines() if " users, " not in line]
    return "\n".join(lines).replace(runs, "…/fleet"), result_of(f"{runs}/{name}/report")


def none_left(program, runs, name):
    """Destroys the run's hosts, if any."""
    if not os.path.exists(f"{runs}/{name}/journey.json"):
        return True
    down = subprocess.run([program, "fleet", "down", name, "--runs", runs], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return down.returncode == 0


def fleet(program):
    for number in (signal.SIGTERM, signal.SIGHUP):  # ^C is an exception already
        signal.signal(number, lambda *_: sys.exit("ended by a signal"))
    runs = tempfile.mkdtemp(dir="/var/tmp")
    try:
        fleet_in(program, runs)
    finally:  # hosts that live on need what the folder knows of them
        left = [name for name in ("small", "large") if not none_left(program, runs, name)]
        for name in left:
            print(f"hosts are left: {program} fleet down {name} --runs {runs}", file=sys.stderr)
        if not left:
            shutil.rmtree(runs)


def fleet_in(program, runs):
    printed, small = across_hosts(program, runs, "small", 1000)
    _, large = across_hosts(program, runs, "large", 25000)
    report = f"{runs}/large/report"
    subprocess.run([program, "report", report, "--compare", f"{runs}/small/report"], check=True)
    screenshot(f"{report}/report.html", os.path.abspath(f"{PICTURES}/side-by-side.png"), 2100)
    command = "build/release/baiwan fleet test --provider netns --hosts 4 --users-per-host 1000 --run small"
    replace_run("docs/operations.md",
                f"```console\n# {command}\n{printed}\n```\n\n(Made by `docs/pictures.py fleet`: "
                f"{stamp(small)}. The large run below: {stamp(large)}.)")


def main():
    program = os.path.abspath("build/release/baiwan")
    for tool in ("tmux", "chromium"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: apt-get install {tool}")
    os.makedirs(PICTURES, exist_ok=True)
    if sys.argv[1:] == ["fleet"]:
        fleet(program)
    elif not sys.argv[1:]:
        one_machine(program)
    else:
        sys.exit(__doc__.partition("usage: ")[2].partition("\n")[0])


def one_machine(program):
    with tempfile.TemporaryDirectory() as runs:
        lines = board(program, runs)
        result = result_of(f"{runs}/latest")
        with open(f"{PICTURES}/board.svg", "w", encoding="utf-8") as file:
            file.write(svg(lines, f"baiwan stress {' '.join(LONG_RUN)}; {stamp(result)}"))
        screenshot(os.path.realpath(f"{runs}/latest/report.html"),
                   os.path.abspath(f"{PICTURES}/report.png"))
        run = subprocess.run([program, "stress", "--runs", "runs"], cwd=runs, check=True,
                             capture_output=True, text=True)
        default = result_of(f"{runs}/runs/latest")
        printed = (run.stderr + run.stdout).replace(os.path.realpath(runs) + "/", "").rstrip("\n")
    replace_run("README.md",
                f"It prints (made by `docs/pictures.py`; {stamp(default)}):\n\n"
                f"```text\n{printed}\n```\n\nThe pictures below are of a longer run, "
                f"`baiwan stress {' '.join(LONG_RUN)}` ({stamp(result)}).")


if __name__ == "__main__":
    main()

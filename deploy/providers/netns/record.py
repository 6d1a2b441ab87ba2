"""What was asked for last, in the run's state folder: it also says whose the folder is."""

import json
import pathlib

import request as requests
from errors import RequestError

NAME = "netns.json"


def read(state):
    try:
        record = json.loads((pathlib.Path(state) / NAME).read_text())
        return record if isinstance(record.get("run"), str) else None
    except (OSError, ValueError, AttributeError):
        return None


def request_of(run, state):
    """As `up` has checked it, or None where this run has no files."""
    record = read(state)
    if record is None or record["run"] != run:
        return None
    try:
        return requests.parse(record)
    except RequestError:
        return None


def write(state, document):
    path = pathlib.Path(state) / NAME
    fresh = path.with_name(NAME + ".new")
    fresh.write_text(json.dumps(document))
    fresh.replace(path)

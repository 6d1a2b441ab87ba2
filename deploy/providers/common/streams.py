"""One command of the contract over the standard streams: the command's name as the argument, the
request on standard input, the answer on standard output, and the exit code that goes with it."""

import json
import sys

from contract import MAX_REQUEST_BYTES, parse_document
from errors import ProviderError, RequestError


def read_request():
    """A byte more than is allowed at the most, so that a longer one is noticed."""
    return sys.stdin.buffer.read(MAX_REQUEST_BYTES + 1)


def _answer_of(argv, commands):
    """The answer and the exit code."""
    try:
        if len(argv) != 2 or argv[1] not in commands:
            raise RequestError("expected one command of " + ", ".join(commands))
        return commands[argv[1]](parse_document(read_request())), 0
    except RequestError as error:
        return ProviderError(str(error)).answer(), 2
    except ProviderError as error:
        return error.answer(), 1
    except OSError as error:  # a full disk, a missing right: what the machine said is the answer
        return ProviderError(str(error)).answer(), 1


def serve(commands):
    """`commands`: {name: function from the request's document to the answer}. Returns the exit code."""
    answer, code = _answer_of(sys.argv, commands)
    print(json.dumps(answer), flush=True)
    return code

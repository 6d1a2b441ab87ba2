"""The request as this provider takes it, checked before anything is done: a bad one changes nothing.

What is this provider's own is in options.py.
"""

from dataclasses import dataclass

import contract
import options as options_of

MAX_SUBNETS = 4


@dataclass(frozen=True)
class Request(contract.Request):
    options: options_of.Options

    @property
    def outside(self):
        return [h for h in self.hosts if h.outside]


def parse(document):
    contract.require_known_fields(document)
    run, state = contract.parse_run(document)
    fields = contract.parse_fields(document, MAX_SUBNETS)
    return Request(run, state, **fields, options=options_of.parse(document.get("options", {})))

"""The policies that are written down for people (policies/), kept by the emulation: who does more than is
written there is refused. Actions only; what resources and conditions say is not looked at."""

import json
import pathlib
import re

_FOLDER = pathlib.Path(__file__).resolve().parent / "policies"
_ALWAYS = {"sts:GetCallerIdentity"}  # needs no right
_ROLE = "ASIA"  # the keys of the control host's role begin so


def _actions(name):
    document = json.loads((_FOLDER / name).read_text())
    return {action for statement in document["Statement"] for action in statement["Action"]}


class Policies:
    def __init__(self):
        self._operator, self._control = _actions("operator.json"), _actions("control.json")
        self.refused = []

    def forbids(self, headers, action):
        """Whether who signed this may not do it; an address is signed by who gave it."""
        signed = re.search(r"Credential=([^/]+)/", headers.get("Authorization", ""))
        by_role = bool(signed) and signed.group(1).startswith(_ROLE)
        if action in _ALWAYS | (self._control if by_role else self._operator):
            return False
        self.refused.append(("control" if by_role else "operator", action))
        return True

"""The request as this provider takes it, checked before anything is done: a bad one changes nothing."""

import ipaddress

import contract
import machine
from contract import require

MAX_SUBNETS = 8
INTERNET = ipaddress.ip_network("203.0.113.0/24")  # stands for the internet; the outside is in it

_NOT_STATE = ("/usr", "/etc", "/proc", "/sys", "/dev", "/boot")


class Request(contract.Request):
    init = "runit"

    def gateway(self, subnet):
        return self.subnets[subnet].network_address + 1

    def prefix(self, subnet):
        return self.subnets[subnet].prefixlen


def parse_run(document):
    """The two fields that every command on an existing run needs."""
    run, state = contract.parse_run(document)
    for folder in _NOT_STATE:
        require(not (state + "/").startswith(folder + "/"), f"state: must not be under {folder}")
    return run, state


def parse(document):
    contract.require_known_fields(document)
    run, state = parse_run(document)
    reserved = {INTERNET: "stands for the internet"}
    request = Request(run, state, **contract.parse_fields(document, MAX_SUBNETS, reserved))
    request.init = _parse_init(document.get("options", {}))
    return request


def _parse_init(options):
    require(isinstance(options, dict), "options: must be an object")
    for name in options:
        require(name == "init", f"options.{name}: unknown; this provider has init only")
    init = options.get("init", "runit")
    require(init in machine.INITS, f"options.init: must be one of {', '.join(machine.INITS)}")
    return init

"""Whose a run is. A name is found by its tags, and so is another operator's run of the same name: whoever
has a folder of a run is let at what this folder made, and at nothing else."""

import inventory
import tags
from errors import RequestError


def refuse_other_account(cloud, state):
    """There is nothing of the run there, which would look as if it were gone. On a host of the run it is
    not known, and the account is that of the host."""
    if (known := state.account()) and (here := cloud.account()) != known:
        raise RequestError(f"credentials: they are of the account {here}, and the run is in {known}")


def refuse_others(cloud, state):
    """Also where nothing has been made yet: of two folders only one may make a run, since the other has
    not the keys to it."""
    refuse_other_account(cloud, state)
    fleet = state.fleet()
    for vpc in inventory.listed(cloud, inventory.VPC, state.run):
        if tags.read(vpc).get(tags.FLEET, "") != fleet:
            text = f"there is a run {state.run} that another folder made; take it down from there first"
            raise RequestError(f"state: {text}")

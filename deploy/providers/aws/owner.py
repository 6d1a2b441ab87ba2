"""Whose a run is. A name is found by its tags, and so is another operator's run of the same name: whoever
has a folder of a run is let at what this folder made, and at nothing else."""

import inventory
import tags
from errors import RequestError


def refuse_others(cloud, state):
    """Also where nothing has been made yet: of two folders only one may make a run, since the other has
    not the keys to it."""
    fleet = state.fleet()
    for vpc in inventory.listed(cloud, inventory.VPC, state.run):
        if tags.read(vpc).get(tags.FLEET, "") != fleet:
            text = f"there is a run {state.run} that another folder made; take it down from there first"
            raise RequestError(f"state: {text}")

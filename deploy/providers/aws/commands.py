"""The commands of the contract, and `refresh` for the price list. Each may be repeated, and finds what
an interrupted one left by its tags."""

import ipaddress

import checks
import contract
import inventory
import options as options_of
import owner
import payload
import price as prices
import request as requests
import schedules
import states
import tags
import teardown
from cloud import Cloud, NoCredentials, region_of
from errors import ProviderError, RequestError
from hosts import Fleet
from keys import Keys
from network import Network
from progress import event

_NO_RIGHT = ("UnauthorizedOperation", "AuthFailure")


def check(document):
    document = states.seated(document)
    request = requests.parse(document) if document else None
    missing, facts = checks.missing(request)
    return {"ok": not missing, "missing": missing, **facts}


def price(document):
    request = requests.parse(states.seated(document))
    return prices.price(request, region_of(request.options))


def refresh(document):
    return prices.refresh(options_of.parse(document.get("options", {})))


# --- up -----------------------------------------------------------------------------------------


def up(document):
    document = states.seated(document)
    request = requests.parse(document)
    if request.rate_mbit:
        raise RequestError("rate_mbit: this provider sets none; the type of a host has its own")
    if request.outside and not request.options.operator_cidr:
        raise RequestError("options.operator_cidr: which addresses may log in to the outside hosts?")
    if states.seat() is None and (why := options_of.unreadable_ssh_config(request.options)):
        raise RequestError(f"options.ssh_config: {why}")
    state = states.State(request.run, request.state)
    state.refuse_foreign()
    cloud = Cloud(request.options)
    # As it is found here and now: a later command may be given from a shell with other settings.
    document = {**document, "options": {**document.get("options", {}), "region": cloud.region}}
    request = requests.parse(document)
    _refuse_other_hosts(state.request(), request)
    owner.refuse_others(cloud, state)
    checks.instance_type(cloud, request.options)
    image, zone = checks.image(cloud, request.options), checks.zone(cloud, request)
    state.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with state.lock():
        if state.ending():
            event("down", "", "a `down` was interrupted here: it is finished first")
            _take_down(cloud, request.run, request.options)
            state.remove()
        fleet_id = state.make(cloud.account)
        _refuse_other_hosts(state.request(), request)
        state.keep_request(document)
        keys = Keys(request.run, state.keys)
        keys.make()
        network = Network(cloud, request, fleet_id, zone).ensure()
        fleet = Fleet(cloud, request, state, keys, fleet_id)
        started, kept = fleet.start_missing(network, image)
        if request.options.scheduler_role:
            schedules.ensure(cloud, request, fleet_id, all_listed=False)
        fleet.wait_running()
        if request.options.scheduler_role:
            schedules.ensure(cloud, request, fleet_id, all_listed=True)
        warnings = fleet.wait_ready()
        for text in warnings:
            event("warning", "", text)
        return {**fleet.describe(), "started": started, "disks_kept": kept, "warnings": warnings}


def _refuse_other_hosts(record, request):
    """As of every provider, and what of the options a run keeps."""
    if record is None:
        return
    before = requests.parse(record)
    contract.refuse_other_hosts(before, request)
    for field in ("type", "architecture", "region", "spot", "placement_group", "zone"):
        if getattr(before.options, field) != getattr(request.options, field):
            raise RequestError(f"options.{field}: the run has another one; take it down first")


def publish(document):
    """A file of the operator's, where the hosts of the run can fetch it."""
    document = states.seated(document)
    paths = {name: document.get(name) for name in ("file", "link")}
    for name, path in paths.items():
        if not isinstance(path, str) or not path.startswith("/"):
            raise RequestError(f"{name}: expected the absolute path of a file")
    request = requests.parse({k: v for k, v in document.items() if k not in paths})
    return payload.publish(Cloud(request.options), request, paths["file"], paths["link"])


# --- describe -----------------------------------------------------------------------------------


def describe(document):
    document = states.seated(document)
    run, path = contract.parse_run(document)
    state = states.State(run, path)
    state.refuse_foreign()
    record = state.request() or (document if "hosts" in document else None)
    cloud = Cloud(_options(state, document))
    owner.refuse_other_account(cloud, state)
    request = requests.parse(record) if record else _by_tags(cloud, run, path, _options(state, document))
    if not request.hosts:
        return contract.describe_nothing(run)
    fleet = Fleet(cloud, request, state, Keys(run, state.keys), state.fleet())
    try:
        return fleet.describe()
    except ProviderError as error:
        # A control host without a profile has what it needs to carry the journey out.
        may_not = isinstance(error, NoCredentials) or getattr(error, "code", "") in _NO_RIGHT
        if states.seat() is None or not may_not:
            raise
        event("warning", "", f"nothing is known of the instances here: {error}")
        return fleet.describe_unseen()


def _options(state, document):
    """Where the run is: as its record says, else as the request does."""
    return options_of.parse((state.request() or document).get("options", {}))


def _by_tags(cloud, run, path, options):
    """What the run has been, where no file tells."""
    hosts = []
    for name, lives in inventory.by_host(inventory.instances(cloud, run)).items():
        tag = tags.read(lives[-1])
        if name and tag.get(tags.ADDRESS):
            address = ipaddress.IPv4Address(tag[tags.ADDRESS])
            outside = tag.get(tags.OUTSIDE) == "true"
            hosts.append(contract.Host(name, address, tag.get(tags.SUBNET, ""), outside))
    hosts.sort(key=lambda h: (not h.outside, h.address))
    return requests.Request(run, path, None, {}, tuple(hosts), 0, 0, 0, options)


# --- down ---------------------------------------------------------------------------------------


def down(document):
    document = states.seated(document)
    run, path = contract.parse_run(document)
    state = states.State(run, path)
    try:
        state.refuse_foreign()
    except RequestError:
        if state.fleet():  # of another run; files of somebody else stay where they are
            raise
    options = _options(state, document)
    cloud = Cloud(options)
    if state.fleet():  # without a folder the tags are all that tells what to take down
        owner.refuse_others(cloud, state)
    with state.lock():
        state.mark_ending()
        removed = _take_down(cloud, run, options)
        state.remove()
        if left := state.left():
            raise ProviderError("left over: " + "; ".join(left), command="down")
    return {"run": run, "removed": removed, "left": []}


def _take_down(cloud, run, options):
    """What is paid by the hour first."""
    removed = teardown.take_down(cloud, run)
    if options.scheduler_role:
        removed += schedules.remove(cloud, run)
    if options.bucket:
        removed += payload.remove(cloud, options.bucket, run)
    return removed
